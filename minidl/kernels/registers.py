"""What the convolution kernels say to the compiler beyond Python: vector registers, plain pointers and memcpy.

A tile is a small array on the stack. Indexed by constants only, in loops of constant length, it never gets there: the
compiler unrolls the loops and keeps the tile in vector registers. That is what makes the kernels fast.

The compiled kernels on disk are renewed when a kernel's own file changes, not when this one does.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .compiling import part


@intrinsic
def lanes(typing_context, array):
    """How many numbers of the array's type a vector register holds, as a constant.

    A call also keeps its function apart from its callers, and asks for the widest vectors of the processor there: by
    itself the compiler uses half of AVX-512.
    """

    def generate(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_constant(types.intp, _lanes(context, array))

    return types.intp(array), generate


@intrinsic
def tile(typing_context, array):
    """Pointer to sixteen vectors of the array's type, uninitialised, to be kept in registers."""

    def generate(context, builder, signature, args):
        return cgutils.alloca_once(builder, _kind(context, array), size=16 * _lanes(context, array))

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def tile_vectors(typing_context):
    """How many vectors make a row of a tile of four rows: four, or two where the processor has 16 registers in all."""
    return types.intp(), lambda context, builder, signature, args: context.get_constant(types.intp, _row())


@intrinsic
def sixteen_sums(typing_context, tile):
    """Pointer to the sums of the sixteen vectors of a tile.

    Pairs of vectors are folded into one that holds half of both, interleaved, until every lane is one sum. The order
    this leaves, bits reversed, is undone by starting in reversed order.
    """

    def generate(context, builder, signature, args):
        kind, lanes = _kind(context, tile), _lanes(context, tile)
        size = context.get_abi_sizeof(kind)
        pointer, order = builder.bitcast(args[0], ir.VectorType(kind, lanes).as_pointer()), [0]
        while len(order) < lanes:
            order = [2 * i for i in order] + [2 * i + 1 for i in order]
        out = cgutils.alloca_once(builder, kind, size=16)
        weave = [i // 2 + lanes * (i % 2) for i in range(lanes)]
        mask = ir.VectorType(ir.IntType(32), lanes)
        halves = [ir.Constant(mask, [i + half for i in weave]) for half in (0, lanes // 2)]
        for first in range(0, 16, lanes):
            places = [builder.gep(pointer, [context.get_constant(types.intp, first + i)]) for i in order]
            vectors = [builder.load(place, align=size) for place in places]
            while len(vectors) > 1:
                pairs = zip(vectors[::2], vectors[1::2], strict=True)
                folded = [[builder.shuffle_vector(a, b, half) for half in halves] for a, b in pairs]
                vectors = [builder.fadd(low, high) for low, high in folded]
            to = builder.gep(out, [context.get_constant(types.intp, first)])
            builder.store(vectors[0], builder.bitcast(to, pointer.type), align=size)
        return out

    return tile(tile), generate


@intrinsic
def copy(typing_context, to, t, source, s, count):
    """to[t + i] = source[s + i] for all i < count, by the C library's memcpy: a loop is slow for the few of a row."""

    def generate(context, builder, signature, args):
        (target, at, origin, start, n), (array, _, other, _, _) = args, signature.args
        to_data = context.make_array(array)(context, builder, target).data
        from_data = context.make_array(other)(context, builder, origin).data
        size = context.get_abi_sizeof(_kind(context, array))
        cgutils.raw_memcpy(builder, builder.gep(to_data, [at]), builder.gep(from_data, [start]), n, size)
        return context.get_dummy_value()

    return types.void(to, types.intp, source, types.intp, types.intp), generate


def _mover(count, step):
    """The function (to, source, i): to[i + j] = source[step (i + j)] for all j < count, in whole vectors."""

    @intrinsic
    def move(typing_context, to, source, i):
        def generate(context, builder, signature, args):
            (to, source, i), kind = args, _kind(context, signature.args[0])
            size, vector = context.get_abi_sizeof(kind), ir.VectorType(kind, count)

            def vector_at(pointer, scale, further):
                place = builder.add(builder.mul(i, i.type(scale)), i.type(further))
                return builder.bitcast(builder.gep(pointer, [place]), vector.as_pointer())

            # The last number of the second vector is the last one wanted: nothing behind it is read.
            parts = [builder.load(vector_at(source, step, k * (count - 1)), align=size) for k in range(step)]
            wanted = [step * j + (step * j >= count) for j in range(count)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), count), wanted)
            moved = builder.shuffle_vector(*parts, mask) if step == 2 else parts[0]
            builder.store(moved, vector_at(to, 1, 0), align=size)
            return context.get_dummy_value()

        return types.void(to, source, types.intp), generate

    return move


_four, _eight, _four_even, _eight_even = _mover(4, 1), _mover(8, 1), _mover(4, 2), _mover(8, 2)


@part
def take(source, step, to, count):
    """to[i] = source[i step] for all i < count. Rows are short: in eights or fours, the last of which may overlap."""
    if count < 4 or step > 2:
        for i in range(count):
            to[i] = source[i * step]
    elif count < 8 and step == 1:
        _four(to, source, 0)
        _four(to, source, count - 4)
    elif count < 8:
        _four_even(to, source, 0)
        _four_even(to, source, count - 4)
    elif step == 1:
        for i in range(0, count, 8):
            _eight(to, source, min(i, count - 8))
    else:
        for i in range(0, count, 8):
            _eight_even(to, source, min(i, count - 8))


def _adder(count):
    """The function (to, source, i): to[i + j] += source[i + j] for all j < count, as one vector."""

    @intrinsic
    def add(typing_context, to, source, i):
        def generate(context, builder, signature, args):
            (to, source, i), kind = args, _kind(context, signature.args[0])
            vector, size = ir.VectorType(kind, count).as_pointer(), context.get_abi_sizeof(kind)
            to, source = (builder.bitcast(builder.gep(pointer, [i]), vector) for pointer in (to, source))
            total = builder.fadd(builder.load(to, align=size), builder.load(source, align=size))
            builder.store(total, to, align=size)
            return context.get_dummy_value()

        return types.void(to, source, types.intp), generate

    return add


_add_sixteen, _add_four = _adder(16), _adder(4)


@part
def add(to, source, count):
    """to[i] += source[i] for all i < count, where rows are short: in sixteens, in fours, then one by one."""
    sixteens, fours = count // 16 * 16, count // 4 * 4
    for i in range(0, sixteens, 16):
        _add_sixteen(to, source, i)
    for i in range(sixteens, fours, 4):
        _add_four(to, source, i)
    for i in range(fours, count):
        to[i] += source[i]


@intrinsic
def at(typing_context, array, place):
    """Pointer to array[place]: unlike an array, it takes no negative indices, so that indexing it is plain addition."""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic
def shift(typing_context, pointer, count):
    """The pointer, `count` numbers further on."""
    return pointer(pointer, types.intp), lambda context, builder, signature, args: builder.gep(args[0], [args[1]])


@part
def sum_sixty_four(sums, run, w, w_out, outs, bias, more, flat, places, weights, taps):
    """sums[k run + i] = bias[k] + sum over taps of w[k w_out + weights[tap]] * flat[places[tap] + i], for 64 i.

    Outputs k go in fours; where one is missing the last is computed again. With `more`, what is in sums takes the place
    of the bias. All arrays are pointers.
    """
    width = tile_vectors() * lanes(flat)
    acc = tile(flat)
    acc1, acc2, acc3 = shift(acc, width), shift(acc, 2 * width), shift(acc, 3 * width)
    if outs == 1:  # depthwise
        for start in range(0, 64, width):
            to = shift(sums, start)
            for i in range(width):
                acc[i] = to[i] if more else bias[0]
            for t in range(taps):
                x, v0 = shift(flat, start + places[t]), w[weights[t]]
                for i in range(width):
                    acc[i] += v0 * x[i]
            for i in range(width):
                to[i] = acc[i]
        return
    for k in range(0, outs, 4):
        k1, k2, k3 = min(k + 1, outs - 1), min(k + 2, outs - 1), min(k + 3, outs - 1)
        w0, w1, w2, w3 = shift(w, k * w_out), shift(w, k1 * w_out), shift(w, k2 * w_out), shift(w, k3 * w_out)
        for start in range(0, 64, width):
            to = shift(sums, k * run + start)
            if more:
                for j in range(4):
                    for i in range(width):
                        acc[j * width + i] = to[j * run + i]
            else:
                for i in range(width):
                    acc[i], acc1[i], acc2[i], acc3[i] = bias[k], bias[k1], bias[k2], bias[k3]
            for t in range(taps):
                x, v = shift(flat, start + places[t]), weights[t]
                v0, v1, v2, v3 = w0[v], w1[v], w2[v], w3[v]
                for i in range(width):
                    acc[i] += v0 * x[i]
                    acc1[i] += v1 * x[i]
                    acc2[i] += v2 * x[i]
                    acc3[i] += v3 * x[i]
            for j in range(4):
                for i in range(width):
                    to[j * run + i] = acc[j * width + i]


def _kind(context, array):
    return context.get_value_type(array.dtype)


def _lanes(context, array):
    return _vector_bytes() // context.get_abi_sizeof(_kind(context, array))


def _vector_bytes():
    return 64 if "avx512f" in _features() else 32 if "avx" in _features() else 16


def _row():
    return 2 if "sse2" in _features() and "avx512f" not in _features() else 4


def _features():
    try:
        return [name for name, present in binding.get_host_cpu_features().items() if present]
    except RuntimeError:  # an unknown processor
        return []
