"""Metrics of a training, where TensorBoard's file cannot be written."""

from __future__ import annotations

import logging
import threading

import pytest

from praesepe.errors import PraesepeError
from praesepe.training.metrics import METRICS, MetricsLog, read_metrics

LINE = {"loss": 1.0, "valid_loss": None, "learning_rate": 0.1, "stamps_per_s": 3.0}


@pytest.mark.parametrize("begun", [True, False])
def test_a_full_disk_takes_tensorboard_alone(tmp_path, monkeypatch, caplog, capfd, begun):
    record_writer = pytest.importorskip("tensorboard.summary.writer.record_writer")
    before = threading.excepthook
    metrics = MetricsLog(tmp_path, None)
    if begun:
        metrics.open(0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_writer.RecordWriter, "write", full)
    with caplog.at_level(logging.WARNING):
        if not begun:
            metrics.open(0)
        for step in range(3):
            metrics.write({"step": step, **LINE})
            metrics.flush()
    metrics.close()
    assert [line["step"] for line in read_metrics(tmp_path / METRICS)] == [0, 1, 2]
    assert len(caplog.messages) == 1
    assert "No space left on device; metrics.jsonl goes on" in caplog.messages[0]
    assert capfd.readouterr().err == ""  # nothing of its thread
    assert threading.excepthook is before


def test_a_line_that_cannot_be_written_names_the_file(tmp_path):
    metrics = MetricsLog(tmp_path, None)
    (tmp_path / METRICS).mkdir()
    with pytest.raises(PraesepeError, match=rf"could not write .*{METRICS}: "):
        metrics.write({"step": 0, **LINE})
