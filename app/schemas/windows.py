"""Energy of a part of an attempt on the wire."""

from __future__ import annotations

from pydantic import Field

from app.schemas.common import Quantity, Wire
from app.schemas.fields import AttemptNumber, RunId


class WindowComponent(Wire):
    """Energy of one component in the window."""

    id: str = Field(
        examples=["gpu:GPU-6f0c"],
        description="ID of the component, e.g. the UUID of a GPU, `cpu` or `ram`.",
    )
    kind: str = Field(description="Kind of component: `gpu`, `cpu`, `ram` or `host`.")
    name: str = Field(description="Product name of the device.")
    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    power_w: Quantity = Field(description="Mean power, in W.")
    share_ratio: Quantity = Field(description="Share of the window's energy.")


class WindowRead(Wire):
    """Energy charged between two times of an attempt, as a stage of that length would be."""

    run_id: RunId
    attempt: AttemptNumber
    from_s: float = Field(description="Start, in seconds since the attempt's meter opened.")
    to_s: float = Field(description="End, in seconds since the attempt's meter opened.")
    price_tag_version: int = Field(
        description="Version of the price tag whose calibrations were applied."
    )
    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    power_w: Quantity = Field(description="Mean power of all metered components, in W.")
    coverage_ratio: Quantity = Field(description="Metered share of the time.")
    components: list[WindowComponent] = Field(description="Energy by component.")
