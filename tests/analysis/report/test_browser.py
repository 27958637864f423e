"""report.html and MLflow's page of a study, in a real browser."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from analysis.report.content import Report
from nowt.tracking.ui import web_page
from tests.support.browser import chromium, console_errors, needs_chromium, requests, wait_for
from tests.support.mlflow_contents import client_of

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser")]

Made = tuple[Path, Report]

# Every item of the marks in the first figure, with its position on the canvas.
ITEMS = """
const found = [];
const visit = (mark, x, y) => {
  for (const item of mark.items) {
    const group = mark.marktype === 'group', [dx, dy] = group ? [item.x || 0, item.y || 0] : [0, 0];
    found.push({kind: mark.marktype, role: mark.role, text: String(item.text ?? ''), datum: item.datum || {},
                x: x + (item.x || 0), y: y + (item.y || 0)});
    for (const below of item.items || []) if (below.marktype) visit(below, x + dx, y + dy);
  }
};
const [left, top] = views[0].origin(), edge = views[0].padding();
visit(views[0].scenegraph().root, left + edge.left, top + edge.top);
const item = ({kind, role, text, datum, x, y}) =>
  ({kind, role, text, x, y, cell: datum.cell ?? null, epoch: datum.epoch ?? null});
return found.map(item);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def server(reported: Made) -> Iterator[str]:
    """The URL of MLflow, served like ``nowt ui --no-password`` does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = web_page(reported[0], port, password=False)
    port = int(page.command[page.command.index("--port") + 1])
    with subprocess.Popen(
        page.command, cwd=page.folder, env=page.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), "MLflow answers")
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def open_report(page: webdriver.Chrome, made: Made) -> str:
    """Load the report and wait until every figure is drawn; its address."""
    console_errors(page), requests(page)
    address = (made[0] / "figures" / "report.html").as_uri()
    page.get(address)
    body = page.find_element(By.TAG_NAME, "body")
    wait_for(lambda: body.get_attribute("data-ready"), "all figures are drawn")
    return address


def switch(page: webdriver.Chrome, name: str) -> WebElement:
    return page.find_element(By.CSS_SELECTOR, f'.switch[data-name="{name}"]')


def items(page: webdriver.Chrome, kind: str, role: str) -> list[dict[str, Any]]:
    found = page.execute_script(ITEMS)
    return [item for item in found if (item["kind"], item["role"]) == (kind, role)]


def drawn_cells(page: webdriver.Chrome) -> set[str]:
    """The names beside the rows of the seeds' plot."""
    names = {"bp", "fa", "kp", "kp </script><b>bold"}
    return {item["text"] for item in items(page, "text", "axis-label")} & names


def ticks(page: webdriver.Chrome) -> list[str]:
    return [item["text"] for item in items(page, "text", "axis-label")]


def test_the_page_draws_every_figure_without_network_requests_or_console_errors(
    page: webdriver.Chrome, reported: Made
) -> None:
    address = open_report(page, reported)
    assert requests(page) == {address}
    assert console_errors(page) == []
    drawn = [path for path in reported[1].paths if path.suffix == ".png"]
    canvases = page.find_elements(By.CSS_SELECTOR, ".chart canvas")
    assert len(canvases) == len(drawn)
    assert all(canvas.size["width"] > 200 and canvas.size["height"] > 100 for canvas in canvases)
    assert page.find_element(By.TAG_NAME, "h1").text == "odd"


def test_a_click_hides_a_rule_in_all_figures_and_another_shows_it(page: webdriver.Chrome, reported: Made) -> None:
    open_report(page, reported)
    everything = {"bp", "fa", "kp", "kp </script><b>bold"}
    assert drawn_cells(page) == everything
    switch(page, "kp").click()
    wait_for(lambda: drawn_cells(page) == {"bp", "fa"}, "both cells of kp are hidden")
    assert switch(page, "kp").get_attribute("aria-pressed") == "false"
    switch(page, "kp").click()
    wait_for(lambda: drawn_cells(page) == everything, "they are back")
    assert console_errors(page) == []


def test_a_click_in_a_legend_hides_a_rule(page: webdriver.Chrome, reported: Made) -> None:
    open_report(page, reported)
    label = next(item for item in items(page, "text", "legend-label") if item["text"] == "fa")
    pointer_at(page, label["x"] + 5, label["y"]).click().perform()
    wait_for(lambda: "fa" not in drawn_cells(page), "fa is hidden")
    assert switch(page, "fa").get_attribute("aria-pressed") == "false"


def test_hovering_shows_values_and_the_wheel_zooms_only_with_a_key(page: webdriver.Chrome, reported: Made) -> None:
    open_report(page, reported)
    point = next(item for item in items(page, "symbol", "mark") if (item["cell"], item["epoch"]) == ("fa", 1))
    pointer_at(page, point["x"], point["y"]).perform()
    tip = wait_for(lambda: page.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible"), "a tooltip is shown")[0]
    assert "Epoch 1" in tip.text and "Test error (%) " in tip.text and "fa" in tip.text
    before = ticks(page)
    zoom(page, point, key=False)
    assert ticks(page) == before
    zoom(page, point, key=True)
    wait_for(lambda: ticks(page) != before, "the axes are zoomed")


CANVAS = "#chart0 canvas"


def pointer_at(page: webdriver.Chrome, x: float, y: float) -> ActionChains:
    """Move the pointer to this position on the canvas of the first figure."""
    canvas = page.find_element(By.CSS_SELECTOR, CANVAS)
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    across, down = round(x - canvas.size["width"] / 2), round(y - canvas.size["height"] / 2)
    return ActionChains(page).move_to_element_with_offset(canvas, across, down)


def zoom(page: webdriver.Chrome, at: dict[str, Any], key: bool) -> None:
    """Turn the wheel at this position, with or without Ctrl."""
    turn = """
    const canvas = document.querySelector(arguments[0]), box = canvas.getBoundingClientRect();
    const where = {clientX: box.x + arguments[1], clientY: box.y + arguments[2], bubbles: true, cancelable: true};
    canvas.dispatchEvent(new WheelEvent('wheel', {...where, deltaY: -400, ctrlKey: arguments[3]}));
    """
    page.execute_script(turn, CANVAS, at["x"], at["y"], key)


def runs_of(made: Made) -> dict[str, str]:
    """Return the IDs of the study's runs in MLflow, by name."""
    client = client_of(made[0])
    experiment = client.get_experiment_by_name(made[1].study)
    assert experiment is not None
    return {str(run.info.run_name): run.info.run_id for run in client.search_runs([experiment.experiment_id])}


def says(page: webdriver.Chrome, *words: str) -> bool:
    text = page.find_element(By.TAG_NAME, "body").text
    return all(word in text for word in words)


def visit(page: webdriver.Chrome, address: str, *words: str) -> None:
    page.get("about:blank")  # otherwise the same page would not be loaded again
    page.get(address)
    wait_for(lambda: says(page, *words), f"{address} shows {words}")


def test_mlflow_lists_the_study_with_its_question_and_its_runs_below_it(
    page: webdriver.Chrome, server: str, reported: Made
) -> None:
    where = f"{server}#/experiments/1/runs?workflowType=machine_learning"
    visit(page, where, "study odd", "only text?", "13 matching runs")
    assert not says(page, "kp, seed 0, tiny_resnet")
    opener = "//*[text()='study odd']/ancestor::*[@role='gridcell']//button"
    wait_for(lambda: page.find_elements(By.XPATH, opener), "the study can be opened")[0].click()
    wait_for(lambda: says(page, "kp, seed 0, tiny_resnet", "fa, seed 2, tiny_resnet"), "the runs are below the study")


def test_mlflow_filters_runs_by_their_tags(page: webdriver.Chrome, server: str, reported: Made) -> None:
    asked = quote("tags.rule = 'kp' and tags.seed = '1' and tags.state = 'finished' and tags.model = 'tiny_resnet'")
    where = f"{server}#/experiments/1/runs?workflowType=machine_learning&searchFilter={asked}"
    visit(page, where, "3 matching runs", "study odd")  # two cells of kp, and the study above them


def test_mlflow_draws_a_runs_metrics(page: webdriver.Chrome, server: str, reported: Made) -> None:
    run = runs_of(reported)["kp, seed 0, tiny_resnet"]
    visit(page, f"{server}#/experiments/1/runs/{run}/model-metrics", "delta_angle", "median", "Step")
    wait_for(lambda: page.find_elements(By.CSS_SELECTOR, ".js-plotly-plot .scatterlayer .trace"), "a curve is drawn")


def test_mlflow_compares_two_rules(page: webdriver.Chrome, server: str, reported: Made) -> None:
    runs = runs_of(reported)
    names = ("bp, seed 0, tiny_resnet", "kp, seed 0, tiny_resnet")
    chosen = json.dumps([runs[name] for name in names]).replace('"', "%22").replace(" ", "")
    address = f"{server}#/compare-runs?runs={chosen}&experiments=%5B%221%22%5D"
    visit(page, address, "Comparing 2 Runs from 1 Experiment", *names)
    wait_for(lambda: says(page, "rule.name", "batch"), "their settings are beside each other")


def test_mlflow_shows_the_report_among_the_studys_artifacts(
    page: webdriver.Chrome, server: str, reported: Made
) -> None:
    parent = runs_of(reported)["study odd"]
    visit(page, f"{server}#/experiments/1/runs/{parent}/artifacts/report/report.html", "curves.png", "report.html")
    frame = wait_for(lambda: page.find_elements(By.TAG_NAME, "iframe"), "the report is shown")[0]
    page.switch_to.frame(frame)
    wait_for(lambda: page.find_elements(By.CSS_SELECTOR, "body[data-ready]"), "its figures are drawn")
    assert page.find_element(By.TAG_NAME, "h1").text == "odd"
    page.switch_to.default_content()
