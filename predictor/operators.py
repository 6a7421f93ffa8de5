"""Which operators a graph may use, by kind of model.

All of them compute numbers from numbers in time and space that their inputs' sizes bound. Not here,
and so refused: what runs graphs inside graphs (Loop, If, Scan), what draws random numbers, what
handles text, sequences or files, what grows its input (Resize, Tile, Pad), and every operator of
another domain. Those that make tensors of a size they are told (`SIZED`) only title models may use;
the memory limit of the process that runs them is what bounds them.

Random graphs of these operators were given to onnxruntime 1.31. What ended its process is refused
since: GatherND and OneHot altogether; inputs left out (`LEAVES_OUT`); a Split into other than its
outputs.
"""

from __future__ import annotations

from typing import Final

from predictor.kinds import DEMAND, NEXT_EPISODE, RECOMMEND

Operator = tuple[str, str]
"""Domain and name; the standard domain is the empty text."""

TREES_DOMAIN: Final = "ai.onnx.ml"

_ARITHMETIC: Final = (
    "Abs Add Ceil Clip Div Erf Exp Floor Log Max Mean Min Mod Mul Neg Pow Reciprocal Round Sign "
    "Sin Cos Sqrt Sub Sum"
)
_CHOICES: Final = "And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Where Xor"
_LAYERS: Final = (
    "BatchNormalization Celu Elu Gelu Gemm GroupNormalization HardSigmoid HardSwish "
    "LayerNormalization LeakyRelu LogSoftmax MatMul Mish PRelu RMSNormalization Relu Selu Sigmoid "
    "SimplifiedLayerNormalization Softmax Softplus Softsign Swish Tanh ThresholdedRelu"
)
_QUANTISED: Final = (
    "Cast CastLike DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearMatMul "
    "QuantizeLinear"
)
_SHAPES: Final = (
    "Concat Constant Flatten Gather Identity Reshape Shape Size Slice Split Squeeze Transpose "
    "Unsqueeze"
)
_REDUCTIONS: Final = (
    "ArgMax ArgMin CumSum ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare"
)
_PLACES: Final = "Einsum GatherElements ScatterElements ScatterND TopK Trilu"
SIZED: Final = "ConstantOfShape Expand Range"
_TREES: Final = "TreeEnsembleClassifier TreeEnsembleRegressor"


# Whose inputs may be left out by an empty name. Elsewhere a runtime may not look whether one is
# there: Max without an input, and LayerNormalization in half precision, ended the process.
LEAVES_OUT: Final = frozenset(("Clip", "Slice"))


def _named(*names: str, domain: str = "") -> frozenset[Operator]:
    return frozenset((domain, name) for text in names for name in text.split())


_NUMBERS: Final = _named(_ARITHMETIC, _CHOICES, _LAYERS, _QUANTISED, _SHAPES, _REDUCTIONS)
TREES: Final = _named(_TREES, domain=TREES_DOMAIN)

OPERATORS: Final = {
    NEXT_EPISODE: _NUMBERS | TREES,
    DEMAND: _NUMBERS | TREES,
    RECOMMEND: _NUMBERS | _named(_PLACES, SIZED),
}
ALL_OPERATORS: Final = frozenset[Operator]().union(*OPERATORS.values())
