"""Parameters of fine-tuning, or of training from scratch."""

from __future__ import annotations

from typing import Literal

from pricetag.recipes.stages.common import FullTraining


class Train(FullTraining):
    """Fine-tune the run's model on its task, or train it from scratch.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """

    kind: Literal["train"] = "train"
