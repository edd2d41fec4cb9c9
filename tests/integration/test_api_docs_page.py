"""The page of all operations needs no internet."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from tests.support.api import Api


async def test_the_page_and_everything_it_loads_come_from_this_server(api: Api) -> None:
    page = await api.nobody.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"https?://", page.text)
    assert "unsafe" not in page.headers["content-security-policy"]
    loaded = re.findall(r"""(?:src|href)=['"]([^'"]+)""", page.text)
    loaded += re.findall(r'data-document="([^"]+)"', page.text)
    loaded = [path for path in loaded if not path.startswith("#") and path != "./"]
    assert len(loaded) >= 6
    for path in loaded:
        assert not path.startswith("/"), "a prefix would be lost"
        response = await api.nobody.get(urljoin("http://server/docs", path))
        assert response.status_code == 200, path


async def test_a_path_with_a_slash_at_its_end_is_not_redirected(api: Api) -> None:
    response = await api.member.get("/v1/runs/", headers={"Host": "evil.example"})
    assert response.status_code == 404
    assert "without the trailing slash" in response.json()["detail"]
    assert "location" not in response.headers


async def test_a_path_that_still_has_a_proxys_prefix_is_not_a_page(api: Api) -> None:
    for path in ("/pricetag/", "/pricetag/login", "/pricetag/docs", "/pricetag/v1/runs"):
        assert (await api.viewer.get(path)).status_code == 404, path
