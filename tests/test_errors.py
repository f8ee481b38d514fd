"""Malformed calls: each raises the right kind of error, whose message names what disagrees and says what to do."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, data, nn, optim
from minidl.nn import functional as F

VALUE = {  # a ValueError, with this in its message
    # tensors
    "Tensor([[1.0], [1.0, 2.0]])": "cannot make an array of numbers from list",
    "x.backward()": "shape (2, 3) needs the gradient of that shape, .backward(gradient); or reduce it to a scalar loss",
    "x.backward(np.ones(3))": "gradient has shape (3,), but the tensor it belongs to has (2, 3)",
    "(x * 2).backward(np.ones((3, 2)))": "gradient has shape (3, 2), but the tensor it belongs to has (2, 3)",
    "m.grad([x.sum(), y.sum()], x, [None])": "2 outputs but 1 grad_outputs: give one for each",
    "x.item()": "exactly one element, this is Tensor float32 (2, 3); reduce it or index it first",
    "float(x)": "exactly one element, this is Tensor float32 (2, 3)",
    "bool(x)": "is Tensor float32 (2, 3) true? It has 6 elements",
    "setattr(x, 'grad', np.ones((2, 3)))":
        "grad of Tensor float32 (2, 3) must be None or a Tensor of its shape, not array float64",
    "setattr(x, 'grad', Tensor(np.ones(2)))": "a Tensor of its shape, not Tensor float64 (2,)",
    "x.detach().copy_(np.ones((3, 3)))": "copy_: values of shape (3, 3) do not fit into Tensor float32 (2, 3)",
    "x.detach().copy_(np.ones((1, 2, 3)))": "copy_: values of shape (1, 2, 3) do not fit into Tensor float32 (2, 3)",
    "m.zeros(2, -1)": "negative dimensions",
    "m.manual_seed(-1)": "a seed is an integer >= 0, not -1",
    # elementwise
    "x + y": "add: operands could not be broadcast together with shapes (2,3) (4,5)",
    "np.ones((4, 5)) - x": "sub: operands could not be broadcast",
    "x * [1.0, 2.0]": "mul: operands could not be broadcast together with shapes (2,3) (2,)",
    "m.maximum(x, y)": "x: array float32 (2, 3), y: array float32 (4, 5)",
    "m.where(x > 0, y, x)": "condition: array bool (2, 3), x: array float32 (4, 5)",
    "m.clip(x, 0.0, y)": "clip: operands could not be broadcast",
    "x**y": "pow: operands could not be broadcast",
    "m.gelu(x, 'fast')": "approximate must be 'none' or 'tanh', not 'fast'",
    # products
    "x @ y": "matmul: Tensor float32 (2, 3) @ Tensor float32 (4, 5): the last axis of the first must be as long as the "
             "second to last axis of the second; is one of them transposed?",
    "s @ x": "matmul: Tensor float32 () @ Tensor float32 (2, 3)",
    "m.matmul(x, 2.0)": "matmul: Tensor float32 (2, 3) @ float 2.0",
    "m.matmul(np.ones((2, 3, 4)), np.ones((5, 4, 3)))": "the axes before the last two do not broadcast",
    "m.linear(x, y)":
        "input Tensor float32 (2, 3) has 3 features in its last axis, but the weight Tensor float32 (4, 5) is "
                      "(out_features, in_features)",
    "m.linear(x, v)": "the weight Tensor float32 (3,) is (out_features, in_features)",
    "m.linear(x, np.ones((2, 3), np.float32), v)":
        "bias Tensor float32 (3,) must have shape (2,), one number for each output",
    "m.linear(img, np.ones((2, 48), np.float32))": "flatten the images first (nn.Flatten)",
    "m.linear(s, x)": "input Tensor float32 () has no features",
    "m.einsum('ij,jk->ik', x)": "'ij,jk->ik' names 2 operand(s), but 1 were given",
    "m.einsum('ij->ik', x)": "the result 'ik' must name each axis once, and only axes of the operands",
    "m.einsum('ij->ii', x)": "the result 'ii' must name each axis once",
    "m.einsum('ijk->i', x)": "'ijk' does not name the 2 axes of Tensor float32 (2, 3)",
    "m.einsum('ij,jk->ik', x, y)": "axis 'j' of 'ij,jk->ik' is 3 long in one operand and 4 in another",
    "m.einsum('i1->i', x)": "axes are named by letters",
    "m.einsum('...ij->...', v)": "'...ij' does not name the 1 axes of Tensor float32 (3,)",
    "m.tril(v)": "a triangle is part of a matrix (..., N, M); Tensor float32 (3,) has fewer than two axes",
    # reductions
    "m.sum(x, (0, 0))": "sum: duplicate value in 'axis'",
    "m.mean(e)": "mean: there is no element to take the mean of; is the batch empty?",
    "m.mean(e, 0)": "no element to take the mean of",
    "m.mean(x, 5)": "mean: axis 5 is out of range for 2 dimensions",
    "m.var(m.zeros(1))": "1 element(s) with correction=1 would divide by zero or less; pass correction=0",
    "m.std(x, 0, correction=2)": "2 element(s) with correction=2",
    "m.max(e, 0)": "max of Tensor float32 (0, 3) over axis 0: there is no element to choose from",
    "m.min(e)": "min of Tensor float32 (0, 3) over axis None: there is no element",
    "m.max(x, 2)": "max: axis 2 is out of range for 2 dimensions; it lies in [-2, 1]",
    "m.max(x, (0, -2))": "max: axis (0, -2) names one of the 2 axes twice",
    "m.prod(x, 3)": "prod: axis 3 is out of range",
    "m.norm(x, 0.5)": "norm of order 0.5: the order must be a number >= 1, or inf",
    "m.norm(x, 'fro')": "norm of order 'fro'",
    "m.cumsum(x, 2)": "cumsum: axis 2 is out of range",
    "m.argmax(e)": "argmax of an empty",
    # shapes
    "x.reshape(4, 2)": "reshape: cannot reshape array of size 6 into shape (4,2)",
    "x.reshape(-1, -1)": "reshape: can only specify one unknown dimension",
    "m.flatten(x, 2)": "flatten: start_dim=2, end_dim=-1 do not fit Tensor float32 (2, 3)",
    "m.flatten(x, 1, 0)": "flatten: start_dim=1, end_dim=0",
    "x.permute(0)": "permute: (0,) is not an order of the 2 axes of Tensor float32 (2, 3)",
    "x.permute(0, 0)": "permute: axis (0, 0) names one of the 2 axes twice",
    "x.permute(0, 2)": "permute: axis 2 is out of range",
    "x.transpose(0, 2)": "axis 2 is out of range",
    "m.swapaxes(x, 0, -3)": "swapaxes: axis -3 is out of range",
    "m.squeeze(x, 0)": "squeeze: axis 0 is not of length 1 in Tensor float32 (2, 3)",
    "m.squeeze(x, 4)": "squeeze: axis 4 is out of range",
    "m.unsqueeze(x, 4)": "unsqueeze: axis 4 is out of range for 3 dimensions",
    "m.broadcast_to(x, (3, 3))": "broadcast_to: operands could not be broadcast",
    "m.broadcast_to(x, (3,))": "broadcast_to: input operand has more dimensions than allowed",
    "m.expand(x, -1)": "expand: (-1,) does not fit Tensor float32 (2, 3); -1 keeps a dimension",
    "m.expand(x, -1, 2, 3)": "expand: (-1, 2, 3) does not fit",
    "m.tile(x, -1)": "tile: (-1,) must be integers >= 0",
    "m.concat([])": "concat needs at least one tensor",
    "m.concat([x, v])": "concat along axis 0: shapes [(2, 3), (3,)] differ in another axis",
    "m.concat([x, y], 1)": "concat along axis 1: shapes [(2, 3), (4, 5)]",
    "m.concat([x, x], 2)": "concat: axis 2 is out of range",
    "m.stack([])": "stack needs at least one tensor",
    "m.stack([x, v])": "all of one shape; got [(2, 3), (3,)]",
    "m.stack([x, x], 3)": "axis 3 is out of range",
    "m.split(x, 0)": "split: parts of length 0 are not possible",
    "m.split(x, [1, 3], 1)": "split: the lengths [1, 3] do not add up to the 3 of axis 1",
    "m.split(x, 1.5)": "split: the lengths 1.5 do not add up",
    "m.split(x, 1, 2)": "split: axis 2 is out of range",
    "m.pad(x, -1)": "pad: width -1 must hold a (before, after) pair >= 0 for each axis of Tensor float32 (2, 3)",
    "m.pad(x, [(1, 1)])": "a (before, after) pair >= 0 for each axis",
    "m.pad(x, (1, 2))": "a (before, after) pair >= 0 for each axis",
    "m.take_along_axis(x, np.zeros((1, 3), int), 1)": "index of shape (1, 3) must equal (2, 3) in all axes but 1",
    "m.take_along_axis(x, np.zeros(3, int), 0)": "index of shape (3,) must equal (2, 3)",
    # images
    "m.conv2d(x, w)":
        "must have four axes, (N, C, H, W) and (O, C/groups, kh, kw); a single image needs x.unsqueeze(0)",
    "m.conv2d(img, v)": "weight Tensor float32 (3,) must have four axes",
    "m.conv2d(img, w[:, :2])":
        "input Tensor float32 (2, 3, 4, 4) has 3 channels, but the weight Tensor float32 (5, 2, 3, 3) with "
                               "groups=1 expects 2",
    "m.conv2d(img, w, groups=2)": "groups=2 must divide the 3 input and 5 weight channels",
    "m.conv2d(img, w, v)": "bias Tensor float32 (3,) must have shape (5,), one number per output channel",
    "m.conv2d(img, w, stride=0)": "stride must be an integer >= 1, or two of them (height, width); got 0",
    "m.conv2d(img, w, stride=1.5)": "stride must be an integer >= 1",
    "m.conv2d(img, w, padding=(1, 2, 3))":
        "padding must be an integer >= 0, or two of them (height, width); got (1, 2, 3)",
    "m.conv2d(img, w, padding='some')": "padding must be an integer >= 0",
    "m.conv2d(img, w, padding='same', stride=2)": "padding='same' needs stride 1",
    "m.conv2d(img[:, :, :2], w)": "smaller than the kernel (3, 3)",
    "m.conv_transpose2d(img, w)":
        "the weight Tensor float32 (5, 3, 3, 3) expects 5; weights of a transposed convolution are (in",
    "m.conv_transpose2d(img, w[:3], output_padding=1)":
        "output_padding (1, 1) must be smaller than stride (1, 1) or dilation",
    "m.conv_transpose2d(img, w[:3], padding=4)":
        "the result would have size [-2, -2]; use less padding or larger images",
    "m.max_pool2d(x, 2)": "input Tensor float32 (2, 3) must be (N, C, H, W); a single image needs x.unsqueeze(0)",
    "m.max_pool2d(img, 0)": "kernel_size must be an integer >= 1",
    "m.max_pool2d(img, 2, padding=2)": "padding (2, 2) may be at most half of the kernel (2, 2)",
    "m.max_pool2d(img, 6)": "smaller than the kernel (6, 6)",
    "m.avg_pool2d(img, 2, stride=0)": "stride must be an integer >= 1",
    "m.adaptive_avg_pool2d(x, 1)": "input Tensor float32 (2, 3) must be (N, C, H, W)",
    "m.adaptive_avg_pool2d(img, 0)": "output_size must be an integer >= 1",
    # derivatives of functions
    "m.hvp(lambda t: t * 1.0, [1.0, 2.0], [1.0, 2.0])": "f must return a Tensor of one element, not (2,)",
    "m.hvp(lambda t: t.sum(), [1.0, 2.0], [1.0])": "the vector has shape (1,), but x has (2,)",
    "m.hessian(lambda t: 3.0, [1.0])": "f must return a Tensor of one element, not float",
    # functions of nn
    "F.dropout(x, 1.5)": "a number from 0 to 1, not float 1.5",
    "F.batch_norm(v, None, None, training=True)": "must be (N, C) or (N, C, ...)",
    "F.batch_norm(x, np.ones(2), np.ones(2))":
        "running_mean is array float64 (2,), but input Tensor float32 (2, 3) has 3 channels",
    "F.batch_norm(x[:1], None, None, training=True)": "train on more than one sample",
    "F.cross_entropy(x, [0, 1, 2])": "an input of shape (2, 3) needs a target of shape (2,), not (3,)",
    "F.cross_entropy(x, [0, 5])": "class number 5 (sample 1) is out of range; 3 classes are numbered 0 to 2",
    "F.cross_entropy(x, np.eye(3, dtype=int)[:2])": "are these one-hot? Use target.argmax(1)",
    "F.cross_entropy(x, [0, 1], reduction='average')": "reduction must be 'mean', 'sum' or 'none', not 'average'",
    "F.cross_entropy(x, [0, 1], weight=np.ones(2))": "weight (2,) must hold one number for each of the 3 classes",
    "F.cross_entropy(e, np.zeros(0, int))": "the mean over an empty batch",
    "F.mse_loss(x[:, :1], x[:, 0])": "input (2, 1) and target (2,) must have one shape, they are never broadcast",
    "F.mse_loss(e, e)": "the mean over an empty batch",
    "F.huber_loss(x, x, delta=0)": "delta must be a number > 0, not 0",
    "F.binary_cross_entropy(x * 5, x.detach())": "must be probabilities; apply a sigmoid",
    "F.multi_margin_loss(x, [0, 1], p=3)": "p must be 1 or 2, not 3",
    # layers
    "nn.Linear(0, 3)": "in_features must be an integer >= 1, not 0",
    "nn.Linear(3, 2)(y)": "input Tensor float32 (4, 5) has 5 features",
    "nn.Conv2d(3, 4, 3, groups=2)": "groups=2 must divide in_channels=3 and out_channels=4",
    "nn.Conv2d(3, 4, 3)(x)": "a single image needs x.unsqueeze(0)",
    "nn.BatchNorm2d(3)(x)": "takes inputs (N, C, H, W), not Tensor float32 (2, 3)",
    "nn.Dropout(-0.5)": "a number from 0 to 1, not float -0.5",
    "nn.Linear(3, 2).load_state_dict({})": "weight: missing in the state",
    "nn.l2_penalty([], 0.1)": "no parameters to penalise",
    # optimisers and data
    "optim.SGD([], lr=0.1)": "empty collection of parameters",
    "optim.SGD([x], lr=-1.0)": "lr must be >= 0, not -1.0",
    "optim.SGD([x * 2], lr=0.1)": "is the result of an operation",
    "optim.SGD([x], lr=0.1, nesterov=True)": "nesterov needs momentum > 0",
    "optim.SGD([x, x], lr=0.1)": "is parameter 0 again",
    "optim.Adam([x], betas=(1.0, 0.9))": "betas[0] must be in [0, 1), not 1.0",
    "data.DataLoader([1, 2], batch_size=0)": "an integer >= 1, not 0",
    "data.Dataset(np.ones(3), np.ones(4))": "differ in length",
    "data.split_indices(10, (0.5, 0.6))": "add up to 1.1, not to 1",
    "data.load_mnist('nonsense')": "'train' or 'test', not 'nonsense'",
}  # fmt: skip
TYPE = {  # a TypeError
    "Tensor([1.0, 'a'])": "a tensor holds real numbers (float, int or bool), not <U32",
    "Tensor(1j)": "a tensor holds real numbers (float, int or bool), not complex128",
    "Tensor(None)": "real numbers",
    "Tensor([1, 2], requires_grad=True)":
        "only floating dtypes hold gradients, this tensor is Tensor int64 (2,); use .float() first",
    "i.requires_grad_()": "Tensor int64 (3,); use .float() first",
    "m.grad(x.sum(), x.detach())":
        "cannot differentiate with respect to Tensor float32 (2, 3): it does not require a gradient",
    "m.grad(x.sum(), [1.0])": "cannot differentiate with respect to float 1.0",
    "len(s)": "no length",
    "x.astype(complex)": "real numbers (float, int or bool), not complex128",
    "i.copy_(np.array([0.5, 0.5, 0.5]))": "float64 values would be cut off in Tensor int64 (3,); use .float() first",
    "m.randn(2, rng=np.random)": "pass np.random.default_rng(seed), an integer seed, or None",
    "m.manual_seed(1.5)": "a seed is an integer >= 0, not 1.5",
    "m.add(x)": "add(x, y) was called as add(Tensor float32 (2, 3))",
    "m.add(x, y, x)": "add(x, y) was called as add(Tensor float32 (2, 3), Tensor float32 (4, 5), Tensor",
    "m.add(x, z=1)": "add(x, y) was called as add(Tensor float32 (2, 3), z=int 1)",
    "m.leaky_relu(x, v)": "leaky_relu has no derivative with respect to its argument 'negative_slope'; pass .detach()",
    "m.sum(x, 'rows')": "sum: 'str' object cannot be interpreted as an integer",
    "m.max(x, 1.5)": "max: axis must be an integer or a tuple of integers, not 1.5",
    "m.unsqueeze(x, 0.5)": "unsqueeze: axis must be an integer",
    "x.reshape('a')": "reshape: 'str' object cannot be interpreted as an integer",
    "m.conv2d(img, w.double())":
        "float32 or float64, the same for all arrays; got x float32, w float64; convert with astype",
    "m.conv2d(img.detach().astype(int), w)": "got x int64, w float32",
    "m.jacobian(lambda t: t.numpy(), [1.0])": "f must return a Tensor made from its argument, not ndarray",
    "m.primitive(lambda x: x).vjp(lambda g, other: g)":
        "asks for ['other']; after the gradient, a rule may name any of ['out', 'x',",
    "np.exp(x)": "np.exp of a Tensor would lose the gradient: use minidl.exp(t), or np.exp(t.numpy())",
    "np.concatenate([x, x])": "use minidl.concat(t)",
    "F.cross_entropy(x, [0.5, 1.0])": "class numbers must be integers",
    "F.mse_loss(x, x.double())": "must have one dtype; use target.astype('float32')",
    "nn.Sequential(1)": "must be a Module, not int 1",
    "nn.Parameter([1, 2])": "only floating dtypes hold gradients",
    "optim.SGD([1.0], lr=0.1)": "must be a Tensor",
    "optim.SGD(x, lr=0.1)": "such as model.parameters() or [w, b]",
    "optim.StepLR(x, 1)": "needs an Optimizer first",
}  # fmt: skip
INDEX = {  # an IndexError
    "x[2]": "getitem: index 2 is out of bounds for axis 0 with size 2",
    "x[0, 0, 0]": "getitem: too many indices for array: array is 2-dimensional, but 3 were indexed",
    "x[1.5]": "an index is made of integers, slices, None, ... or masks; this one has dtype float64",
    "x['a']": "an index is made of integers, slices, None, ... or masks",
    "x[[0.5]]": "this one has dtype float64",
    "x[np.ones((2, 2), bool)]": "boolean index did not match",
    "x[[0, 1], [0, 1, 2]]": "shape mismatch: indexing arrays could not be broadcast together with shapes (2,) (3,)",
    "m.take_along_axis(x, np.full((2, 1), 7), 1)": "index 7 is out of bounds for axis 1 with size 3",
    "m.sum(x, 2)": "sum: axis 2 is out of bounds for array of dimension 2 (x: array float32 (2, 3)",
    "m.softmax(x, 2)": "softmax: axis 2 is out of bounds",
    "m.logsumexp(x, 2)": "logsumexp: axis 2 is out of bounds",
    "m.flip(x, 2)": "flip: axis 2 is out of bounds",
    "m.roll(x, 1, 2)": "roll: axis 2 is out of bounds",
    "m.argmax(x, 3)": "axis 3 is out of bounds",
}  # fmt: skip
RUNTIME = {  # a RuntimeError
    "i.backward()": "backward from Tensor int64 (3,): nothing was recorded for it",
    "x.detach().sum().backward()": "without requires_grad, or inside no_grad(), or after detach()",
    "m.grad(x.sum(), y)": "the outputs do not depend on the input Tensor float32 (4, 5); was it detached",
    "setattr(x * 2, 'data', np.ones((2, 3)))":
        "Tensor float32 (2, 3) is the result of mul; only a leaf's data can be set",
    "setattr(x * 2, 'requires_grad', False)": "is the result of mul: use .detach() to cut it off",
    "x.__setitem__(0, 1.0)":
        "use minidl.where or concat to build a new tensor, or assign inside `with minidl.no_grad():`",
    "x.__iadd__(1.0)": "in-place change of the leaf Tensor float32 (2, 3), which requires a gradient",
    "(x * 2).copy_(np.ones((2, 3)))": "is a result (or a view of one) and cannot be written to",
    "x.detach().register_hook(print)": "a hook would never be called",
    "copy.deepcopy(x * 2)": "only leaves can be deep-copied",
}  # fmt: skip
TABLE = [(call, kind, text) for kind,
    calls in [(ValueError, VALUE), (TypeError, TYPE), (IndexError, INDEX), (RuntimeError, RUNTIME)]
         for call, text in calls.items()]  # fmt: skip


def names() -> dict:
    def leaf(*shape):
        return Tensor(np.ones(shape, np.float32), requires_grad=True)

    import copy

    return {
        "x": leaf(2, 3), "y": leaf(4, 5), "v": leaf(3), "s": leaf(), "i": Tensor([1, 2, 3]), "e": minidl.zeros(0, 3),
        "img": leaf(2, 3, 4, 4), "w": leaf(5, 3, 3, 3), "m": minidl, "np": np, "nn": nn, "F": F, "optim": optim,
        "data": data,
        "Tensor": Tensor, "copy": copy,
    }  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), TABLE, ids=[row[0] for row in TABLE])
def test_malformed_call(call, kind, text):
    with pytest.raises(kind) as raised:
        eval(call, names())
    assert text in str(raised.value)
    assert "Traceback" not in str(raised.value) and len(str(raised.value)) < 900


def test_the_table_is_long_enough():
    assert len(TABLE) >= 200
