import pytest

from predictor.bench import bench_shipped

pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")


def test_both_shipped_graphs_are_timed_at_every_batch() -> None:
    found = bench_shipped(calls=100)
    assert set(found) == {"int8", "float"}
    for rows in found.values():
        assert [row.batch for row in rows] == [1, 32, 256]
        assert all(0 < row.p50 <= row.p99 < 0.1 for row in rows)
        assert rows[2].p50 < 256 * rows[0].p50
