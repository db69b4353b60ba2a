# SPDX-License-Identifier: BSD-3-Clause
"""The page of `ferry report` in a real browser: it draws, zooms, tells, and runs no foreign text.

Usage: test_report_page.py FERRY
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proc"))

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

from cli_rig import DEVICES, Rig  # noqa: E402


def browser(folder):
    """A browser without a window that reaches no network."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for word in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                 "disable-background-networking", "disable-component-update",
                 "disable-sync", "disable-dev-shm-usage", "window-size=1280,1500",
                 "user-data-dir=" + os.path.join(folder, "profile")):
        options.add_argument("--" + word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def move(rig, source, target):
    """A migration between two sides; its trace with both of them."""
    address = rig.control(target).call("status")["address"]
    done = rig.run("migrate", "--control", rig.path(source + ".sock"), address)
    assert done.returncode == 0, done.stderr
    path = rig.path("%s-%s.json" % (source, target))
    done = rig.run("report", "--control", rig.path(source + ".sock"), "--control",
                   rig.path(target + ".sock"), "--trace", path)
    assert done.returncode == 0, done.stderr
    return path


def open_page(rig, driver, name, *traces):
    """Makes a page of traces and loads it; nothing may go wrong in it."""
    done = rig.run("report", "--output", rig.path(name), *traces)
    assert done.returncode == 0, done.stderr
    driver.get("file://" + rig.path(name))
    assert driver.find_element(By.TAG_NAME, "body").get_attribute("data-ready") == "1"
    quiet(driver)


def quiet(driver):
    """No error on the console."""
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors, errors


def spans(driver, kind):
    """Rectangles of a kind on the timeline."""
    return driver.find_elements(By.CSS_SELECTOR, "#lanes rect." + kind)


def every_device_has_its_rows(driver):
    """On both sides, with the states it went through."""
    labels = [text.text for text in driver.find_elements(By.CSS_SELECTOR, "#lanes > text")]
    assert "source" in labels and "target" in labels, labels
    for name, _ in DEVICES:
        assert labels.count(name + ": state") == 2, labels
        assert labels.count(name + ": data") == 2, labels
    rests = {span.get_attribute("data-name") for span in spans(driver, "rest")}
    assert {"PRE_COPY", "STOP_COPY", "RESUMING", "RUNNING"} <= rests, rests
    rows = driver.find_elements(By.CSS_SELECTOR, "#devices tbody tr")
    assert len(rows) == len(DEVICES)
    assert driver.find_element(By.ID, "outcome").text == "MOVED"
    assert len(driver.find_elements(By.CSS_SELECTOR, "#parts div")) >= 4
    for figure in ("left", "dirty", "rate"):
        assert driver.find_elements(By.CSS_SELECTOR, "#%s .curve" % figure), figure


def widest(driver, name):
    """Width of the widest step of this name."""
    return max(span.size["width"] for span in spans(driver, "arc")
               if span.get_attribute("data-name") == name)


def the_stop_can_be_looked_at_alone(driver):
    """And the whole again."""
    before = widest(driver, "STOP_COPY")
    driver.find_element(By.ID, "stop").click()
    assert driver.find_element(By.ID, "stop").get_attribute("aria-pressed") == "true"
    assert widest(driver, "STOP_COPY") > before
    driver.find_element(By.ID, "whole").click()
    assert widest(driver, "STOP_COPY") == before


def a_step_tells_its_time(driver):
    """Under the mouse."""
    tip = driver.find_element(By.ID, "tip")
    assert not tip.is_displayed()
    step = max(spans(driver, "work"), key=lambda span: span.size["width"])
    ActionChains(driver).move_to_element(step).perform()
    assert tip.is_displayed() and step.get_attribute("data-name") in tip.text
    assert "for" in tip.text, tip.text


def one_of_several_migrations_can_be_chosen(driver):
    """By its number."""
    pick = Select(driver.find_element(By.ID, "pick"))
    assert len(pick.options) == 2
    title = driver.find_element(By.ID, "title").text
    pick.select_by_index(1)
    assert driver.find_element(By.ID, "title").text != title
    every_device_has_its_rows(driver)


def texts_of_a_file_stay_texts(rig, driver, path):
    """Names that are HTML are shown as they are."""
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    evil = "</script><img src=x onerror=\"document.title='gone'\">"
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            event["name"] = evil
    trace["otherData"]["sides"][0]["devices"][0] = evil
    with open(rig.path("evil.json"), "w", encoding="utf-8") as file:
        json.dump(trace, file)
    open_page(rig, driver, "evil.html", rig.path("evil.json"))
    assert not driver.find_elements(By.TAG_NAME, "img")
    assert driver.title != "gone"


def main():
    """One browser, two migrations."""
    with Rig(sys.argv[1]) as rig:
        rig.start_side("a")
        rig.start_side("b")
        there, back = move(rig, "a", "b"), None
        driver = browser(rig.folder)
        try:
            open_page(rig, driver, "one.html", there)
            every_device_has_its_rows(driver)
            the_stop_can_be_looked_at_alone(driver)
            a_step_tells_its_time(driver)
            back = move(rig, "b", "a")
            open_page(rig, driver, "two.html", there, back)
            one_of_several_migrations_can_be_chosen(driver)
            texts_of_a_file_stay_texts(rig, driver, there)
            quiet(driver)
        finally:
            driver.quit()


main()
