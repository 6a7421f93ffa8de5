"""What a graph may contain, judged before a runtime sees a byte of it.

A runtime is a million lines that read a format; this reads the few messages a model of ours needs
and refuses the rest: data in other files, operators that are not on the list, graphs inside graphs,
functions, tensors whose data are not what their shape says, text, inputs or outputs of another
form. It refuses too what readers understand differently (a single field given twice, an unknown
field), so that the runtime sees the graph that was judged. Whatever the bytes are, `check` returns
or raises ModelError, in time that grows with their number; a test of random and of damaged graphs
holds it to that.

Not judged: how large the tensors between nodes grow. Operators that grow what they are given are
kept out but for title models (`predictor.operators`); broadcasting remains. The memory and time
limits of the process that runs the model bound both.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nearcast.errors import ModelError
from predictor.graph_parts import Parts, Value
from predictor.onnx_form import (
    ATTRIBUTE,
    ATTRIBUTE_TYPES,
    ELEMENT_BYTES,
    FLOAT,
    GRAPH,
    INT64,
    MODEL,
    NODE,
    OPSET,
    TEXT_CONSTANTS,
)
from predictor.operators import ALL_OPERATORS, LEAVES_OUT, OPERATORS, TREES, Operator
from predictor.protobuf import VARINT, WireError, signed
from predictor.trees import TreeAttributes, TreeError, check_trees

IR_VERSIONS: Final = range(4, 15)
OPSETS: Final = range(13, 29)
OPSETS_MAX: Final = 8  # exporters also name domains they do not use
NODES_MAX: Final = 4_096
PORTS_MAX: Final = 256  # inputs and outputs of a node
WIDTH_MAX: Final = 1_000_000  # columns of input and output


class GraphFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a graph that keeps the rules is."""

    opset: int
    operators: frozenset[Operator]
    is_integer: bool
    """Whether the input is of int64, else of float32."""
    input_width: int | None
    """Columns of the input; None: any number."""
    output_width: int | None


def check(model: bytes, source: str, *, kind: str | None = None) -> GraphFacts:
    """Raises ModelError with reason `graph`; without a kind every kind's operators are allowed."""
    allowed = ALL_OPERATORS if kind is None else OPERATORS[kind]
    try:
        return _Judge(model, allowed).judge()
    except (WireError, TreeError) as error:
        raise ModelError(f"the model in {source} is refused: {error}", reason="graph") from error


class _Trees(msgspec.Struct, frozen=True):
    """A node of trees, judged once the graph's input is known."""

    attributes: TreeAttributes
    is_classifier: bool
    inputs: tuple[bytes, ...]


class _Judge:
    def __init__(self, model: bytes, allowed: frozenset[Operator]) -> None:
        self._parts = Parts(model)
        self._size_bytes = len(model)
        self._allowed = allowed
        self._node_count = 0
        self._opsets: dict[str, int] = {}
        self._operators: set[Operator] = set()
        self._inputs: list[Value] = []
        self._outputs: list[Value] = []
        self._trees: list[_Trees] = []

    def judge(self) -> GraphFacts:
        ir_version = graph_count = 0
        for number, _, a, b in self._parts.each("the model", 0, self._size_bytes, MODEL):
            if number == 1:
                ir_version = signed(a)
            elif number == 7:
                graph_count += 1
                self._graph(a, b)
            elif number == 8:
                self._opset(a, b)
            elif number != 5:
                self._parts.text(a, b)
        if ir_version not in IR_VERSIONS:
            raise WireError(f"it is of ONNX IR version {ir_version}, which is not known here")
        if not graph_count:
            raise WireError("it has no graph")
        if self._opsets.get("", 0) not in OPSETS:
            raise WireError(f"operator set {self._opsets.get('', 0)} is not known here")
        for domain, name in sorted(self._operators):
            if domain not in self._opsets:
                raise WireError(f"it uses {name} of {domain} without saying which version")
        source = _only(self._inputs, "input", (FLOAT, INT64))
        answer = _only(self._outputs, "output", (FLOAT,))
        assert source.shape is not None
        assert answer.shape is not None
        width = source.shape[1]
        for trees in self._trees:
            # A tree reads its features unchecked, so what it is given must be what is judged.
            if trees.inputs != (source.name,) or width is None:
                raise WireError("its trees are not asked with the model's input itself")
            check_trees(trees.attributes, is_classifier=trees.is_classifier, width=width)
        return GraphFacts(
            opset=self._opsets[""],
            operators=frozenset(self._operators),
            is_integer=source.element_type == INT64,
            input_width=width,
            output_width=answer.shape[1],
        )

    def _opset(self, a: int, b: int) -> None:
        domain, version = "", 0
        for number, _, start, end in self._parts.each("an operator set", a, b, OPSET):
            if number == 1:
                domain = self._parts.name(start, end).decode("ascii", "replace")
            else:
                version = signed(start)
        if domain in (*self._opsets, "ai.onnx") or len(self._opsets) >= OPSETS_MAX:
            raise WireError("it names an operator set twice, or too many")
        self._opsets[domain] = version

    def _graph(self, begin: int, end: int) -> None:
        for number, _, a, b in self._parts.each("the graph", begin, end, GRAPH):
            if number == 1:
                self._node(a, b)
            elif number == 5:
                self._parts.tensor(a, b)
            elif number == 11:
                self._inputs.append(self._parts.value(a, b))
            elif number == 12:
                self._outputs.append(self._parts.value(a, b))
            elif number == 13:
                self._parts.value(a, b)
            else:
                self._parts.text(a, b)

    def _node(self, begin: int, end: int) -> None:
        self._node_count += 1
        if self._node_count > NODES_MAX:
            raise WireError(f"it has more than {NODES_MAX} nodes")
        inputs: list[bytes] = []
        attributes: list[tuple[int, int]] = []
        name = domain = b""
        port_count = output_count = 0
        for number, _, a, b in self._parts.each("a node", begin, end, NODE):
            if number in (1, 2):
                port_count += 1
                port = self._parts.name(a, b)
                if number == 1:
                    inputs.append(port)
                else:
                    output_count += 1
            elif number == 4:
                name = self._parts.name(a, b)
            elif number == 5:
                attributes.append((a, b))
            elif number == 7:
                domain = self._parts.name(a, b)
            else:
                self._parts.text(a, b)
        if port_count > PORTS_MAX:
            raise WireError(f"a node has more than {PORTS_MAX} inputs and outputs")
        operator = (domain.decode("ascii", "replace"), name.decode("ascii", "replace"))
        if operator not in self._allowed:
            shown = ".".join(part for part in operator if part) or "without a name"
            raise WireError(f"it uses the operator {shown!r}, which models here may not")
        if b"" in inputs and operator[1] not in LEAVES_OUT:
            raise WireError(f"an input of {operator[1]} is left out, which may not be")
        self._operators.add(operator)
        self._attributes(operator, attributes, tuple(inputs), output_count)

    def _attributes(
        self,
        operator: Operator,
        spans: list[tuple[int, int]],
        inputs: tuple[bytes, ...],
        output_count: int,
    ) -> None:
        is_tree = operator in TREES
        integers: dict[str, list[int]] = {}
        texts: dict[str, list[bytes]] = {}
        float_counts: dict[str, int] = {}
        names: set[bytes] = set()
        for begin, end in spans:
            name, numbers, words, float_count = self._attribute(begin, end, is_tree)
            if name in names or name in TEXT_CONSTANTS:
                raise WireError(f"{operator[1]} has an attribute twice, or one of text")
            names.add(name)
            if name == b"to" and operator[1] == "Cast" and set(numbers) - set(ELEMENT_BYTES):
                raise WireError("it casts to a type that models here may not use")
            if name == b"num_outputs" and numbers != [output_count]:
                raise WireError(f"{operator[1]} has other outputs than it says")
            key = name.decode("ascii", "replace")
            integers[key], texts[key], float_counts[key] = numbers, words, float_count
        if is_tree:
            found = TreeAttributes(integers=integers, texts=texts, float_counts=float_counts)
            is_classifier = operator[1] == "TreeEnsembleClassifier"
            self._trees.append(_Trees(found, is_classifier, inputs))

    def _attribute(
        self, begin: int, end: int, is_tree: bool
    ) -> tuple[bytes, list[int], list[bytes], int]:
        """Name, integers, texts and count of floats. Of lists only trees' are looked into."""
        name = b""
        integers: list[int] = []
        texts: list[bytes] = []
        float_count = 0
        for number, wire, a, b in self._parts.each("an attribute", begin, end, ATTRIBUTE):
            if number == 1:
                name = self._parts.name(a, b)
            elif number == 3:
                integers.append(signed(a))
            elif number in (4, 9):
                texts.append(self._parts.name(a, b))
            elif number == 5:
                self._parts.tensor(a, b)
            elif number == 7:
                float_count += self._parts.count(b - a, 4)
            elif number == 8 and is_tree:
                if wire == VARINT:
                    integers.append(signed(a))
                else:
                    integers.extend(self._parts.wire.integers(wire, a, b))
            elif number == 13:
                self._parts.text(a, b)
            elif number == 20 and a not in ATTRIBUTE_TYPES:
                raise WireError("it has an attribute of a type that models here may not use")
        return name, integers, texts, float_count


def _only(values: list[Value], what: str, types: tuple[int, ...]) -> Value:
    """The one input or output: a matrix of a size we can ask for."""
    if len(values) != 1:
        raise WireError(f"it has {len(values)} {what}s, and should have one")
    (value,) = values
    if value.element_type not in types or value.shape is None or len(value.shape) != 2:
        raise WireError(f"its {what} is no matrix (batch, columns) of float or int64")
    if any(size is not None and not 0 < size <= WIDTH_MAX for size in value.shape):
        raise WireError(f"its {what} has a size beyond 1 to {WIDTH_MAX}")
    return value
