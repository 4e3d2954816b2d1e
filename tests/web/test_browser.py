"""Pages in a real browser: nothing is fetched from elsewhere, no script fails, the tree is walked by keyboard."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `web`")

from netwright.web.server import listening  # noqa: E402

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM}"),
]


@pytest.fixture
def address(memory, told):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = listening(memory.home, "127.0.0.1", port)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(address):
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1100, "height": 800})
        opened.troubles = []
        opened.on("console", lambda message: message.type == "error" and opened.troubles.append(message.text))
        opened.on("pageerror", lambda error: opened.troubles.append(str(error)))
        known = (address, "data:")
        opened.on("request", lambda request: request.url.startswith(known) or opened.troubles.append(request.url))
        yield opened
        browser.close()


def test_every_page_loads_without_a_fault_and_without_a_request_elsewhere(page, address, memory):
    one, two = (row["short"] for row in memory.connection.rows("SELECT short FROM leaderboard LIMIT 2"))
    tables = ["/memory", "/memory/leaderboard", "/memory?sql=select+1"]

    for path in [
        "/",
        "/campaign/first",
        "/campaign/first/tree",
        f"/experiment/{one}",
        f"/compare?id={one}&id={two}",
        *tables,
    ]:
        page.goto(f"{address}{path}")
        page.wait_for_load_state("networkidle")

        assert page.troubles == [], path


@pytest.mark.parametrize("width", [380, 1100])
def test_no_page_is_wider_than_the_window(page, address, memory, width):
    page.set_viewport_size({"width": width, "height": 700})
    short = memory.connection.row("SELECT short FROM leaderboard")["short"]

    for path in [
        "/",
        "/campaign/first",
        "/campaign/first/tree",
        f"/experiment/{short}",
        f"/compare?id={short}",
        "/lessons",
    ]:
        page.goto(f"{address}{path}")

        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_tree_is_walked_by_keyboard_to_an_experiment(page, address):
    page.goto(f"{address}/campaign/first/tree")
    page.wait_for_selector("#tree.ready")
    page.focus("#tree")

    page.keyboard.press("Home")
    assert "the campaign" in page.inner_text("#said")
    page.keyboard.press("ArrowRight")
    title = page.inner_text("#said a")
    page.keyboard.press("+")
    page.wait_for_function("document.getElementById('scene').getAttribute('transform').includes('scale(1.5)')")
    page.keyboard.press("Enter")

    page.wait_for_url("**/experiment/*")
    assert page.inner_text("h1") == title


def test_a_click_chooses_the_nearest_node(page, address):
    page.goto(f"{address}/campaign/first/tree")
    page.wait_for_selector("#tree.ready")

    page.click("#best")

    assert "nats at rung 1" in page.inner_text("#said")


def test_dark_follows_the_system(page, address):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"
