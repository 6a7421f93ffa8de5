"""The messages of an ONNX file as far as models of ours have them: which fields, in which form.

What a message has beyond this is refused, so this is the whole of what is read. Source: onnx.proto
of ONNX 1.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from predictor.protobuf import BYTES, FIXED32, FIXED64, VARINT

FLOAT, INT64 = 1, 7
# Bytes of one element, of types we compute with. Text is none of them.
ELEMENT_BYTES: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8}
# Attribute types but for graphs, sparse tensors, types, and lists of tensors.
ATTRIBUTE_TYPES: Final = (1, 2, 3, 4, 6, 7, 8)
TEXT_CONSTANTS: Final = frozenset((b"value_string", b"value_strings", b"sparse_value"))

_V, _B, _F, _D = (VARINT,), (BYTES,), (FIXED32,), (FIXED64,)
# What may be in each message: number -> wire types, and whether it may be there twice. Numbers of
# a list come packed or one to a field.
_ONE, _MANY = False, True
Table = Mapping[int, tuple[tuple[int, ...], bool]]
MODEL: Final[Table] = {
    **dict.fromkeys((1, 5), (_V, _ONE)),  # ir_version, model_version
    **dict.fromkeys((2, 3, 4, 6, 7), (_B, _ONE)),  # producer, version, domain, doc_string, graph
    **dict.fromkeys((8, 14), (_B, _MANY)),  # opset_import, metadata_props
}
OPSET: Final[Table] = {1: (_B, _ONE), 2: (_V, _ONE)}  # domain, version
GRAPH: Final[Table] = {
    **dict.fromkeys((1, 5, 11, 12, 13, 16), (_B, _MANY)),  # node, initializer, input, output,
    **dict.fromkeys((2, 10), (_B, _ONE)),  # value_info, metadata_props; name, doc_string
}
NODE: Final[Table] = {
    **dict.fromkeys((1, 2, 5, 9), (_B, _MANY)),  # input, output, attribute, metadata_props
    **dict.fromkeys((3, 4, 6, 7), (_B, _ONE)),  # name, op_type, doc_string, domain
}
ATTRIBUTE: Final[Table] = {
    **dict.fromkeys((1, 4, 5, 13), (_B, _ONE)),  # name, s, t, doc_string
    2: (_F, _ONE),  # f
    **dict.fromkeys((3, 20), (_V, _ONE)),  # i, type
    7: (_F + _B, _MANY),  # floats
    8: (_V + _B, _MANY),  # ints
    9: (_B, _MANY),  # strings
}
TENSOR: Final[Table] = {
    **dict.fromkeys((1, 5, 7, 11), (_V + _B, _MANY)),  # dims, int32_, int64_ and uint64_data
    **dict.fromkeys((2, 14), (_V, _ONE)),  # data_type, data_location
    4: (_F + _B, _MANY),  # float_data
    10: (_D + _B, _MANY),  # double_data
    **dict.fromkeys((8, 9, 12), (_B, _ONE)),  # name, raw_data, doc_string
    16: (_B, _MANY),  # metadata_props
}
# Which element types each list of data may hold.
DATA_TYPES: Final = {
    4: (1,),
    5: (2, 3, 4, 5, 6, 9, 10),
    7: (7,),
    9: tuple(ELEMENT_BYTES),
    10: (11,),
    11: (12, 13),
}
VALUE: Final[Table] = {**dict.fromkeys((1, 2, 3), (_B, _ONE)), 4: (_B, _MANY)}  # name, type, ...
TYPE: Final[Table] = {1: (_B, _ONE), 6: (_B, _ONE)}  # tensor_type, denotation
TENSOR_TYPE: Final[Table] = {1: (_V, _ONE), 2: (_B, _ONE)}  # elem_type, shape
SHAPE: Final[Table] = {1: (_B, _MANY)}
DIMENSION: Final[Table] = {1: (_V, _ONE), 2: (_B, _ONE), 3: (_B, _ONE)}  # value, name, denotation

# What a model is most likely to be refused for, in words.
REASONS: Final = {
    ("the model", 20): "it carries what training needs",
    ("the model", 25): "it has functions of its own",
    ("the graph", 14): "it has notes on quantisation",
    ("the graph", 15): "it has sparse tensors",
    ("a node", 8): "it uses functions of its own",
    ("an attribute", 6): "it has graphs inside its graph",
    ("an attribute", 11): "it has graphs inside its graph",
    ("a tensor", 3): "it has tensors in segments",
    ("a tensor", 6): "it has tensors of text",
    ("a tensor", 13): "it keeps data in other files; export it as one",
    ("a type", 4): "it has values that are no tensors",
    ("a type", 5): "it has values that are no tensors",
    ("a type", 8): "it has values that are no tensors",
    ("a type", 9): "it has values that are no tensors",
}
