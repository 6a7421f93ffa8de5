"""The reader of graphs beside the package onnx, and under bytes that nobody meant to write."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearcast.errors import ModelError
from predictor.graph_rules import check
from predictor.operators import ALL_OPERATORS
from predictor.protobuf import BYTES, FIXED32, FIXED64, VARINT, Wire, WireError

onnx = pytest.importorskip("onnx", reason="making graphs needs the extra train")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from predictor.runtime import default_model_folder  # noqa: E402
from tests.graph_maker import graph_of, linear, trees, value  # noqa: E402

ROUNDS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
SHIPPED = default_model_folder()
SEEDS = (
    linear().SerializeToString(),
    trees().SerializeToString(),
    (SHIPPED / "model.onnx").read_bytes(),
)
PLAIN = sorted(name for domain, name in ALL_OPERATORS if not domain)
TYPES = (np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_, np.float16)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    array: Any = np.zeros(shape, dtype=draw(st.sampled_from(TYPES)))
    name = draw(names)
    if draw(st.booleans()):
        return numpy_helper.from_array(array, name)
    element_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor(name, element_type, shape, array.flatten().tolist())


@st.composite
def graphs(draw: st.DrawFn) -> Any:
    """Graphs that keep the rules, though few of them would run."""
    nodes = []
    for _ in range(draw(st.integers(0, 5))):
        node = helper.make_node(
            draw(st.sampled_from(PLAIN)),
            draw(st.lists(names, max_size=4)),
            draw(st.lists(names, max_size=2)),
            name=draw(names),
            doc_string=draw(texts),
        )
        for at, given_value in enumerate(
            draw(
                st.lists(
                    st.one_of(
                        st.integers(-(2**63), 2**63 - 1),
                        st.floats(width=32, allow_nan=False),
                        st.text(st.characters(codec="ascii"), max_size=9),
                        st.lists(st.integers(-9, 9), min_size=1, max_size=5),
                        st.lists(st.floats(-1, 1), min_size=1, max_size=5),
                        tensors(),
                    ),
                    max_size=3,
                )
            )
        ):
            node.attribute.append(helper.make_attribute(f"a{at}", given_value))
        nodes.append(node)
    width = draw(st.one_of(st.integers(1, 10**6), st.just("any")))
    element_type = draw(st.sampled_from((TensorProto.FLOAT, TensorProto.INT64)))
    model = graph_of(
        nodes,
        tensors=draw(st.lists(tensors(), max_size=4)),
        inputs=[value("x", width, element_type)],
        opsets=[("", draw(st.integers(13, 28))), ("com.microsoft", 1)],
        ir_version=draw(st.integers(4, 14)),
    )
    model.producer_name = draw(texts)
    if draw(st.booleans()):
        model.metadata_props.add(key=draw(texts), value=draw(texts))
        model.graph.value_info.append(value(draw(names), draw(st.integers(0, 9))))
    return model


@ROUNDS
@given(graphs())
def test_the_reader_sees_what_onnx_sees(model: Any) -> None:
    facts = check(model.SerializeToString(), "here")
    assert facts.operators == {(node.domain, node.op_type) for node in model.graph.node}
    assert facts.opset == model.opset_import[0].version
    column = model.graph.input[0].type.tensor_type.shape.dim[1]
    assert facts.input_width == (column.dim_value if column.HasField("dim_value") else None)
    element_type = model.graph.input[0].type.tensor_type.elem_type
    assert facts.is_integer == (element_type == TensorProto.INT64)


mutations = st.lists(
    st.tuples(
        st.sampled_from(("set", "flip", "cut", "put", "double")),
        st.integers(0, 2**20),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    found = bytearray(content)
    for change, place, text in changes:
        at = place % (len(found) + 1)
        if change == "set":
            found[at : at + len(text)] = text
        elif change == "flip" and at < len(found):
            found[at] ^= 1 << text[0] % 8
        elif change == "cut":
            del found[at : at + text[0]]
        elif change == "put":
            found[at:at] = text
        else:
            found[at:at] = found[at : at + text[0]]
    return bytes(found)


@ROUNDS
@given(st.sampled_from(SEEDS), mutations)
def test_a_damaged_graph_is_refused_or_means_the_same_to_onnx(
    content: bytes, changes: list[tuple[str, int, bytes]]
) -> None:
    """Whatever was done to it: what we let pass has in onnx's eyes nothing that we forbid."""
    damaged = mutated(content, changes)
    begun_s = time.perf_counter()
    try:
        facts = check(damaged, "here")
    except ModelError:
        return
    finally:
        assert time.perf_counter() - begun_s < 5.0
    try:
        model = onnx.ModelProto.FromString(damaged)
    except Exception:  # protobuf's own kind of error
        return  # text that is no UTF-8, for one: a runtime refuses it as well
    assert facts.operators == {(node.domain, node.op_type) for node in model.graph.node}
    assert facts.operators <= ALL_OPERATORS
    assert not model.functions
    assert not model.graph.sparse_initializer
    for node in model.graph.node:
        for attribute in node.attribute:
            assert not attribute.HasField("g")
            assert not attribute.graphs
    for tensor in model.graph.initializer:
        assert tensor.data_location == TensorProto.DEFAULT
        assert not tensor.external_data
        assert int(np.prod(tensor.dims, dtype=object)) <= len(damaged)


@ROUNDS
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        check(content, "here")


@ROUNDS
@given(st.binary(max_size=60))
def test_fields_lie_within_their_message_and_one_behind_the_other(content: bytes) -> None:
    at = 0
    try:
        for number, wire, a, b in Wire(content).fields(0, len(content)):
            assert number > 0
            assert wire in (VARINT, BYTES, FIXED32, FIXED64)
            if wire == VARINT:
                assert 0 <= a < 2**64
            else:
                assert at < a <= b
            assert b > at
            at = b
        assert at == len(content)
    except WireError:
        pass


@ROUNDS
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), st.booleans())
def test_numbers_of_a_list_are_read_packed_or_not(numbers: list[int], is_packed: bool) -> None:
    """As TensorProto.dims and int64_data, of which onnx writes one packed and one not."""
    message = TensorProto(int64_data=numbers) if is_packed else TensorProto(dims=numbers)
    wire = Wire(message.SerializeToString())
    found: list[int] = []
    count = 0
    for _, kind, a, b in wire.fields(0, len(wire.data)):
        found.extend(wire.integers(kind, a, b))
        count += wire.count_integers(kind, a, b)
    assert found == numbers
    assert count == len(numbers)
