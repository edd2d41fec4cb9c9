"""Stages of threads, tasks, generators and forked children, over a real supervisor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workers.test_supervisor import Bench, bench

__all__ = ["bench"]  # a fixture

BEGIN = """
    import asyncio, multiprocessing as mp, os, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import contextmanager
    import pricetag
    def took(name, began_s):
        # In one piece, though other processes write to the same place.
        os.write(1, f"took {name} {time.monotonic() - began_s}\\n".encode())
    @contextmanager
    def timed(name):
        began_s = time.monotonic()
        yield
        took(name, began_s)
    def work(name, length, start=0.0):
        time.sleep(start)
        with timed(name), pricetag.stage(name):
            pricetag.log(**{"in_" + name: 1})
            time.sleep(length)
"""


async def stages_of(bench: Bench, script: str, seconds: float = 120) -> dict[str, dict[str, Any]]:
    """Every stage of a script by its name, with ``lasted_s``, ``around`` and its metrics.

    ``took_s`` is what the script saw it take: where it is timed, no stage may last longer.
    """
    await asyncio.wait_for(bench.supervisor(BEGIN + script).run(), seconds)
    assert bench.end() == ("succeeded", None), bench.records("log")
    ends = {record["key"]: record for record in bench.records("stage_end")}
    starts = bench.records("stage_start")
    names = {record["key"]: record["name"] for record in starts}
    stages = {}
    for start in starts:
        end = ends[start["key"]]
        stages[start["name"]] = {
            "lasted_s": end["t_s"] - start["t_s"],
            "end_s": end["t_s"],
            "around": names.get(start["parent_key"]),
            "status": end["status"],
            "flags": end.get("flags", []),
        }
    for metric in bench.records("metric"):
        stages[names[metric["key"]]].setdefault("metrics", []).append(metric["name"])
    for line in (record["text"].split() for record in bench.records("log")):
        if line[:1] == ["took"]:
            _, name, seconds_text = line
            stages[name]["took_s"] = float(seconds_text)
    return stages


async def test_stages_of_threads_end_by_their_own_key(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    threads = [
        threading.Thread(target=work, args=("a", 0.4)),
        threading.Thread(target=work, args=("b", 0.6, 0.2)),
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    """,
    )
    assert 0.4 <= stages["a"]["lasted_s"] <= stages["a"]["took_s"]
    assert 0.6 <= stages["b"]["lasted_s"] <= stages["b"]["took_s"]
    assert {stages[name]["around"] for name in "ab"} == {"command"}
    assert [stages[name]["metrics"] for name in "ab"] == [["in_a"], ["in_b"]]


async def test_threads_of_a_pool_are_in_the_stage_of_the_main_thread(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    with pricetag.stage("outer"), ThreadPoolExecutor(3) as pool:
        list(pool.map(work, ["w0", "w1", "w2"], [0.1, 0.2, 0.3]))
    work("after", 0.0)
    """,
    )
    assert [stages[f"w{place}"]["around"] for place in range(3)] == ["outer"] * 3
    assert stages["after"]["around"] == "command"


async def test_stages_of_tasks_nest_in_the_stage_of_their_own_task(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    async def task(name, length):
        with pricetag.stage(name):
            await asyncio.sleep(length)
            with pricetag.stage(name + " inner"):
                await asyncio.sleep(length)
            pricetag.log(**{"after_" + name: 1})
    async def main():
        with pricetag.stage("outer"):
            await asyncio.gather(task("x", 0.1), task("y", 0.15), asyncio.to_thread(work, "z", 0.1))
    asyncio.run(main())
    """,
    )
    around = {name: stage["around"] for name, stage in stages.items()}
    assert around == {
        "command": None,
        "outer": "command",
        **dict.fromkeys(("x", "y", "z"), "outer"),
        "x inner": "x",
        "y inner": "y",
    }
    assert stages["x"]["metrics"] == ["after_x"]
    assert stages["y"]["metrics"] == ["after_y"]


async def test_a_generators_stage_may_end_inside_another(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    def batches():
        with pricetag.stage("loader"):
            yield 1
    source = batches()
    began_s = time.monotonic()
    next(source)
    with timed("epoch"), pricetag.stage("epoch"):
        time.sleep(0.1)
        next(source, None)
        took("loader", began_s)
        time.sleep(0.2)
        pricetag.log(in_epoch=1)
    with pricetag.stage("after"):
        pass
    """,
    )
    assert 0.1 <= stages["loader"]["lasted_s"] <= stages["loader"]["took_s"]
    assert 0.3 <= stages["epoch"]["lasted_s"] <= stages["epoch"]["took_s"]
    assert stages["epoch"]["metrics"] == ["in_epoch"]
    assert stages["after"]["around"] == "command"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_stages_of_processes_are_in_the_stage_that_started_them(
    bench: Bench, method: str
) -> None:
    stages = await stages_of(
        bench,
        f"""
    if __name__ == "__main__":
        pricetag.log(before=1)
        with pricetag.stage("outer"), mp.get_context("{method}").Pool(2) as pool:
            pool.starmap(work, [("c0", 0.5), ("c1", 0.5)], chunksize=1)
        with pricetag.stage("afterwards"):
            time.sleep(0.1)
        pricetag.log(after=1)
    """,
    )
    assert [stages[f"c{place}"]["around"] for place in range(2)] == ["outer"] * 2
    assert [stages[f"c{place}"]["metrics"] for place in range(2)] == [["in_c0"], ["in_c1"]]
    assert stages["afterwards"]["around"] == "command"
    assert stages["command"]["metrics"] == ["before", "after"]


@pytest.mark.parametrize("leave", ["sys.exit(0)", "os._exit(0)", "raise SystemExit", "return_"])
@pytest.mark.parametrize("says", ["", 'pricetag.log(child=1); work("child", 0)'])
async def test_a_forked_child_ends_no_stage_of_its_parent(
    bench: Bench, leave: str, says: str
) -> None:
    leave = "pass" if leave == "return_" else leave
    stages = await stages_of(
        bench,
        f"""
    pricetag.log(before=1)
    with pricetag.stage("around"):
        pid = os.fork()
        if pid == 0:
            {says or "pass"}
            {leave}
        else:
            os.waitpid(pid, 0)
            time.sleep(0.2)
            pricetag.log(in_parent=1)
    if pid:
        work("after", 0.1)
    """,
    )
    assert stages["around"]["status"] == "succeeded"
    assert stages["around"]["lasted_s"] > 0.2
    expected = (["child"] if says else []) + ["in_parent"]
    assert stages["around"]["metrics"] == expected
    assert stages["after"]["around"] == "command"
    if says:
        assert stages["child"]["around"] == "around"


async def test_a_client_that_ends_stages_without_a_key_ends_the_last_and_is_flagged(
    bench: Bench,
) -> None:
    stages = await stages_of(
        bench,
        """
    import pricetag.script as track
    channel = track._current()
    for name in ("first", "second"):
        channel.edge("stage_start", kind="stage", name=name)
    time.sleep(0.1)
    channel.edge("stage_end", status="succeeded")
    channel.edge("stage_end", status="succeeded")
    """,
    )
    assert stages["second"]["around"] == "first"
    assert (stages["second"]["flags"], stages["first"]["flags"]) == (["ended_by_order"], [])


async def test_every_edge_is_answered_whatever_its_content(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    import pricetag.script as track
    channel = track._current()
    replies = [
        channel.edge("stage_end", status="succeeded"),
        channel.edge("stage_end", key="77", status="succeeded"),
        channel.edge("stage_start", name=3),
        channel.edge("stage_start", name="x", recipe_index=-1),
        channel.edge("stage_end", key=[1], status="succeeded"),
    ]
    assert all("error" in reply for reply in replies), replies
    key = channel.edge("stage_start", kind="stage", name="real")["key"]
    assert "error" in channel.edge("stage_end", key=key, status="lovely")
    assert channel.edge("stage_end", key=key, status="succeeded")["key"] == key
    """,
    )
    assert stages["real"]["status"] == "succeeded"
    assert len(bench.records("rejected")) == 6


@pytest.mark.parametrize("leave", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os._exit(3)"])
async def test_a_stage_ends_with_the_forked_child_that_left_it_open(
    bench: Bench, leave: str
) -> None:
    stages = await stages_of(
        bench,
        f"""
    with pricetag.stage("around"):
        if (pid := os.fork()) == 0:
            begun = pricetag.stage("left open")
            begun.__enter__()
            time.sleep(0.4)
            {leave}
        os.waitpid(pid, 0)
        time.sleep(0.2)
    work("after", 0.8)
    """,
    )
    assert stages["left open"]["around"] == "around"
    assert stages["left open"]["lasted_s"] >= 0.4
    assert stages["left open"]["end_s"] <= stages["after"]["end_s"]
    assert stages["left open"]["status"] == "failed"
    assert stages["after"]["status"] == "succeeded"


async def test_a_stage_that_a_script_leaves_open_lasts_to_its_end(bench: Bench) -> None:
    stages = await stages_of(
        bench,
        """
    begun = pricetag.stage("open")
    begun.__enter__()
    time.sleep(0.2)
    """,
    )
    assert stages["open"]["status"] == "succeeded"
