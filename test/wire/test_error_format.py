"""Answers made by the gateway itself, as `errors.format` wants them."""
import json

import pytest

JSON = "application/problem+json"
TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize("form, accept, kind", [
    ("auto", None, TEXT), ("auto", "text/html", TEXT), ("auto", "application/json", JSON),
    ("text", None, TEXT), ("text", "application/json", TEXT),
    ("problem", None, JSON), ("problem", "text/html", JSON)])
def test_the_form_is_the_configured_one(stage, form, accept, kind):
    gw = stage.proxy(stage.service(), path="/u", errors={"format": form},
                     service={"middleware": ["rate_limit"], "rate_limit": {"rate": "1/d", "burst": 1, "body": 'a "b"\nc'}})
    headers = [("Accept", accept)] if accept else []
    assert gw.get("/u").status == 200
    for path, status, reason in [("/u", 429, "rate_limited"), ("/none", 404, "no_route")]:
        answer = gw.get(path, headers)
        assert (answer.status, answer.headers["Content-Type"]) == (status, kind)
        if kind == JSON:
            said = json.loads(answer.body)
            assert (said["status"], said["reason"]) == (status, reason)
    assert gw.request("HEAD", "/u", headers).headers["Content-Type"] == kind


def test_a_reload_changes_the_form(stage):
    gw = stage.proxy(stage.service(), path="/u", errors={"format": "text"})
    assert gw.get("/none").headers["Content-Type"] == TEXT
    gw.reload(**{**gw.config, "errors": {"format": "problem"}})
    assert gw.get("/none").headers["Content-Type"] == JSON
