"""Figures that workers share: what one counts the others read, and it outlives its worker."""

from __future__ import annotations

from pathlib import Path

from pilotage.gateway.exposition import text
from pilotage.gateway.metrics import FAMILIES, LAYOUT, Figures
from pilotage.store.figures import ROOM, SUFFIX, FigureFile, others
from pilotage.store.figures import clear as clear_figures


def value(shown: bytes, series: str) -> float:
    return next(float(line.rsplit(" ", 1)[1]) for line in shown.decode().splitlines() if line.startswith(series + " "))


def test_one_scrape_adds_up_what_all_workers_counted(tmp_path: Path) -> None:
    files = [FigureFile(tmp_path, name, LAYOUT) for name in ("w0", "w1")]
    first, second = map(Figures, files)
    for figures, times in ((first, 3), (second, 4)):
        for _ in range(times):
            figures.seen("/v1/models", 200, 0.03)
        figures.put(pilotage_events_lost_total=times, pilotage_use_cases=times)
    for figures in (first, second):
        shown = figures.text()
        assert value(shown, 'pilotage_requests_total{path="/v1/models",status="200"}') == 7
        assert value(shown, 'pilotage_request_seconds_bucket{path="/v1/models",le="0.025"}') == 0
        assert value(shown, 'pilotage_request_seconds_bucket{path="/v1/models",le="0.05"}') == 7
        assert value(shown, 'pilotage_request_seconds_count{path="/v1/models"}') == 7
        assert value(shown, "pilotage_events_lost_total") == 7
        assert value(shown, "pilotage_use_cases") == 4
        assert value(shown, "pilotage_workers") == 2
    for file in files:
        file.close()


def test_counts_outlive_a_worker_and_gauges_do_not(tmp_path: Path) -> None:
    file = FigureFile(tmp_path, "w0", LAYOUT)
    figures = Figures(file)
    figures.seen("/v1/models", 200, 1)
    figures.put(pilotage_events_lost_total=5)
    file.close()
    gone = text(list(others(tmp_path)), FAMILIES)
    assert value(gone, "pilotage_events_lost_total") == 5
    assert "pilotage_workers 1" not in gone.decode()
    again = FigureFile(tmp_path, "w0", LAYOUT)
    figures = Figures(again)
    figures.seen("/v1/models", 200, 1)
    figures.put(pilotage_events_lost_total=2)
    assert value(figures.text(), 'pilotage_requests_total{path="/v1/models",status="200"}') == 2
    assert value(figures.text(), "pilotage_events_lost_total") == 7
    assert value(figures.text(), "pilotage_workers") == 1
    again.close()
    clear_figures(tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_layout_and_damaged_files_begin_anew(tmp_path: Path) -> None:
    old = FigureFile(tmp_path, "w0", "before")
    old.cells[old.place("something", 3)] = 7.0
    old.close()
    new = FigureFile(tmp_path, "w0", LAYOUT)
    assert not new.all()[0].series
    new.close()
    for data in (b"", b"x" * 40, b"\xff" * 200, b"\xff" * ROOM):
        (tmp_path / f"w9{SUFFIX}").write_bytes(data)
        assert [seen.alive for seen in others(tmp_path, but=f"w0{SUFFIX}")] == [False]


def test_there_is_an_end_to_series_and_the_rest_is_counted_together(tmp_path: Path) -> None:
    file = FigureFile(tmp_path, "w0", LAYOUT)
    figures = Figures(file)
    for number in range(20_000):
        figures.seen(f"/path/{number}", 200, 0.1)
    shown = figures.text()
    assert value(shown, 'pilotage_requests_total{path="other",status="0"}') > 0
    total = sum(
        float(line.rsplit(" ", 1)[1])
        for line in shown.decode().splitlines()
        if line.startswith("pilotage_requests_total{")
    )
    assert total == 20_000
    assert (tmp_path / f"w0{SUFFIX}").stat().st_size == ROOM
    file.close()


def test_without_a_file_a_worker_counts_for_itself(tmp_path: Path) -> None:
    file = FigureFile(tmp_path / "nowhere", "w0", LAYOUT)
    figures = Figures(file)
    figures.seen("/v1/models", 200, 1)
    assert value(figures.text(), 'pilotage_requests_total{path="/v1/models",status="200"}') == 1
    file.close()
