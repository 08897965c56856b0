"""Fixtures of every browser test. Playwright runs an event loop while it is open, so it lives no longer than one module:
other tests in the same process may want a loop of their own."""

import os

import pytest
from browser import NO_BROWSER, find_browser, launch
from playwright.sync_api import sync_playwright


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Without a browser its tests are skipped, but in CI, where nobody reads skips, they fail.

    Here and not in a fixture: pytest then reports all of them in one line.
    """
    if item.get_closest_marker("browser") and find_browser() is None:
        if os.environ.get("CI"):
            pytest.fail(NO_BROWSER, pytrace=False)
        pytest.skip(NO_BROWSER)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = launch(playwright, find_browser())
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A fresh page; the test fails if anything on it threw an error that nobody caught."""
    errors = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)  # a slow machine is no failure
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []
