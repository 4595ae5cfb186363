"""The doctor's report from the page: a row in the settings, and a badge in the About panel."""

from __future__ import annotations

from typing import Any

import pytest

from ..browser import RENDERERS, open_page
from ..server import Host

SHOW = "(panel) => window.app.extensionManager.command.execute(panel)"


@pytest.fixture
def page(browser: Any, page_host: Host) -> Any:
    with open_page(browser, page_host, RENDERERS["canvas"]) as opened:
        yield opened
        assert opened.errors == []


def test_the_report_is_copied_from_the_settings_and_opened_from_about(page: Any, page_host: Host) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=page_host.url)
    page.evaluate(SHOW, "Comfy.ShowSettingsDialog")
    page.get_by_text("Matrix-Game", exact=True).first.click()
    page.locator(".mg-doctor").get_by_text("Copy report").click()
    page.locator(".mg-doctor").get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("matrixgame doctor, ")
    assert "== last error ==" in copied
    page.get_by_text("About", exact=True).first.click()
    badge = page.get_by_test_id("about-panel").get_by_text("Matrix-Game: report for an issue")
    with page.context.expect_page() as opening:
        badge.click()
    opening.value.wait_for_load_state()
    assert opening.value.inner_text("body").startswith("matrixgame doctor, ")
    opening.value.close()
