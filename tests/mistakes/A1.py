"""Known-wrong solutions of A1: what each loses and what it is told."""

UNARY_EXP, UNARY_LOG, UNARY_RELU = "return dout * np.exp(x)", "return dout / x", "return np.where(x > 0, dout, 0)"
FRONT = "for _ in range(g.ndim - len(shape)):\n        g = g.sum(axis=0)"
STRETCHED = "g = g.sum(axis=axis, keepdims=True)"
ADD = "return undo(dout, a.shape), undo(dout, b.shape)"
DA, DB = "da = undo(dout * b, a.shape)", "db = undo(dout * a, b.shape)"
EXPAND = "axes = tuple(range(x.ndim)) if axis is None else axis\n        dout = np.expand_dims(dout, axes)"
SPREAD = "return np.broadcast_to(dout, x.shape).copy()"
LEAF = "node.grad = g.copy() if node.grad is None else node.grad + g"
COLLECT = "pending[parent] = pending[parent] + part if parent in pending else part"

# the whole of backward, for those that are built differently
LOOP = """pending = {root: upstream}  # what has come back so far to nodes that have not handed it on
    while pending:
        node = max(pending, key=lambda n: n.birth)
        g = pending.pop(node)
        if not node.parents:
            node.grad = g.copy() if node.grad is None else node.grad + g
        for parent, rule in zip(node.parents, node.rules, strict=True):
            part = rule(g)
            pending[parent] = pending[parent] + part if parent in pending else part"""
EVERY_PATH = """waiting = [(root, upstream)]
    while waiting:
        node, g = waiting.pop()
        if not node.parents:
            node.grad = g.copy() if node.grad is None else node.grad + g
        for parent, rule in zip(node.parents, node.rules, strict=True):
            waiting.append((parent, rule(g)))"""
FIRST_COME = """total, queue, met = {root: upstream}, [root], {root}
    while queue:
        node = queue.pop(0)
        for parent, rule in zip(node.parents, node.rules, strict=True):
            part = rule(total[node])
            total[parent] = total[parent] + part if parent in total else part
            if parent not in met:
                met.add(parent)
                queue.append(parent)
    for node, g in total.items():
        if not node.parents:
            node.grad = g.copy() if node.grad is None else node.grad + g"""
LAST_COME = FIRST_COME.replace("queue.pop(0)", "queue.pop()")
RECURSIVE = """order, met = [], set()

    def visit(node):
        met.add(node)
        for parent in node.parents:
            if parent not in met:
                visit(parent)
        order.append(node)

    visit(root)
    total = {root: upstream}
    for node in reversed(order):
        if not node.parents:
            node.grad = total[node].copy() if node.grad is None else node.grad + total[node]
        for parent, rule in zip(node.parents, node.rules, strict=True):
            part = rule(total[node])
            total[parent] = total[parent] + part if parent in total else part"""
IN_NODES = """order, waiting = {root}, [root]
    while waiting:
        new = set(waiting.pop().parents) - order
        order |= new
        waiting += new
    root.grad = upstream.copy() if root.grad is None else root.grad + upstream
    for node in sorted(order, key=lambda n: -n.birth):
        for parent, rule in zip(node.parents, node.rules, strict=True):
            part = np.array(rule(node.grad))
            parent.grad = part if parent.grad is None else parent.grad + part"""

# (exercise = id of the solution cell, what is wrong, text in the solution, text in its place,
#  {lost cell: words in its message})
MISTAKES = [
    # 1
    ("unbroadcast_function", "axes in front are not summed", FRONT, "pass", {"unbroadcast": "not summed over axis 0"}),
    ("unbroadcast_function", "the mean over axes in front", "g = g.sum(axis=0)", "g = g.mean(axis=0)",
     {"unbroadcast": "a mean where the sum is meant"}),
    ("unbroadcast_function", "one of the copies", "g = g.sum(axis=0)", "g = g[0]",
     {"unbroadcast": "row 0 of the upstream gradient instead of its sum over axis 0"}),
    ("unbroadcast_function", "stretched axes are not summed", STRETCHED, "pass",
     {"unbroadcast": "every copy brings a part"}),
    ("unbroadcast_function", "keepdims forgotten", STRETCHED, "g = g.sum(axis=axis)",
     {"unbroadcast": "an axis is lost"}),
    ("unbroadcast_function", "the mean over stretched axes", STRETCHED, "g = g.mean(axis=axis, keepdims=True)",
     {"unbroadcast": "a mean where the sum is meant"}),
    ("unbroadcast_function", "summed over the last axis", "g = g.sum(axis=0)", "g = g.sum(axis=-1)",
     {"unbroadcast": "shape (4,) for (3,)"}),
    ("unbroadcast_function", "zeros", "return g", "return np.zeros(shape)", {"unbroadcast": "zero everywhere"}),
    ("unbroadcast_function", "only one axis in front, hidden", "for _ in range(g.ndim - len(shape)):",
     "if g.ndim > len(shape):", {"unbroadcast": "two axes in front"}),
    # 2
    ("add_mul", "add: a minus", ADD, "return undo(dout, a.shape), undo(-dout, b.shape)",
     {"add": "the sign is flipped"}),
    ("add_mul", "add: broadcasting not undone", ADD, "return dout, dout", {"add": "not brought back to its shape"}),
    ("add_mul", "add: upstream forgotten", ADD,
     "return undo(np.ones_like(dout), a.shape), undo(np.ones_like(dout), b.shape)",
     {"add": "the same whatever the upstream gradient is"}),
    ("add_mul", "add: the rule of the product", ADD,
     "return undo(dout * b, a.shape), undo(dout * a, b.shape)", {"add": "a factor 'b' is too much"}),
    ("add_mul", "add: swapped", ADD, "return undo(dout, b.shape), undo(dout, a.shape)",
     {"add": "in the order a, b"}),
    ("add_mul", "add: zeros", ADD, "return np.zeros(a.shape), np.zeros(b.shape)", {"add": "zero everywhere"}),
    ("add_mul", "mul: the other factor in da", DA, "da = undo(dout * a, a.shape)",
     {"mul_da": "the rule of another argument"}),
    ("add_mul", "mul: the other factor in db", DB, "db = undo(dout * b, b.shape)",
     {"mul_db": "the rule of another argument"}),
    ("add_mul", "mul: upstream forgotten in da", DA, "da = undo(b + 0 * dout, a.shape)",
     {"mul_da": "the same whatever the upstream gradient is"}),
    ("add_mul", "mul: the slope forgotten in db", DB, "db = undo(dout, b.shape)",
     {"mul_db": "the local derivative is missing"}),
    ("add_mul", "mul: broadcasting not undone in db", DB, "db = dout * a", {"mul_db": "not brought back to its shape"}),
    ("add_mul", "mul: broadcasting undone too early", DB, "db = undo(dout, b.shape) * undo(a, b.shape)",
     {"mul_da": "cannot reshape", "mul_db": "not the product of the sums"}),
    ("add_mul", "mul: swapped", "return da, db", "return db, da",
     {"mul_da": "the gradient of 'b'", "mul_db": "the gradient of 'a'"}),
    ("add_mul", "mul: a minus in da", DA, "da = -undo(dout * b, a.shape)", {"mul_da": "the sign is flipped"}),
    # 3
    ("matmul", "b not transposed", "da = dout @ np.swapaxes(b, -1, -2)", "da = dout @ b",
     {"matmul_da": "the shape of each factor", "matmul_db": "the shape of each factor"}),
    ("matmul", "da transposed", "return da, db", "return np.swapaxes(da, -1, -2), db",
     {"matmul_da": "the right values, transposed"}),
    ("matmul", "db the other way round", "db = np.swapaxes(a, -1, -2) @ dout", "db = np.swapaxes(dout, -1, -2) @ a",
     {"matmul_db": "the right values, transposed"}),
    ("matmul", "db not summed over the stack", "db = db.sum(axis=0)", "pass", {"matmul_db": "not summed over axis 0"}),
    ("matmul", "db averaged over the stack", "db = db.sum(axis=0)", "db = db.mean(axis=0)",
     {"matmul_db": "a mean where the sum is meant"}),
    ("matmul", "da not summed over the stack, hidden", "da = da.sum(axis=0)", "pass",
     {"matmul_da": "one matrix a for a stack"}),
    ("matmul", ".T for a stack", "da = dout @ np.swapaxes(b, -1, -2)", "da = dout @ b.T",
     {"matmul_da": "reverses all axes", "matmul_db": "reverses all axes"}),
    ("matmul", "upstream forgotten in da", "da = dout @", "da = np.ones_like(dout) @",
     {"matmul_da": "the same whatever the upstream gradient is"}),
    ("matmul", "a minus in db", "db = np.swapaxes(a, -1, -2) @ dout", "db = -np.swapaxes(a, -1, -2) @ dout",
     {"matmul_db": "the sign is flipped"}),
    ("matmul", "swapped", "return da, db", "return db, da",
     {"matmul_da": "in the order a, b", "matmul_db": "in the order a, b"}),
    ("matmul", "zeros in db", "return da, db", "return da, 0 * db", {"matmul_db": "zero everywhere"}),
    # 4
    ("sum", "the axis is not put back", "dout = np.expand_dims(dout, axes)", "pass",
     {"sum_axis": "the axis is gone in dout", "sum_axes": "are gone in dout"}),
    ("sum", "the rule of the mean", SPREAD, "return np.broadcast_to(dout, x.shape) * (dout.size / x.size)",
     {"sum_axis": "a mean where the sum is meant", "sum_axes": "a mean where the sum is meant"}),
    ("sum", "upstream forgotten", SPREAD, "return np.ones_like(x)",
     {"sum_axis": "the same whatever", "sum_axes": "the same whatever"}),
    ("sum", "a factor x", SPREAD, "return dout * x",
     {"sum_axis": "does not depend on the values", "sum_axes": "does not depend on the values"}),
    ("sum", "not spread", SPREAD, "return dout",
     {"sum_axis": "as many gradients as terms", "sum_axes": "as many gradients as terms"}),
    ("sum", "keepdims ignored", "if not keepdims:", "if True:",
     {"sum_axis": "still there in dout", "sum_axes": "still there in dout"}),
    ("sum", "None forgotten", "axes = tuple(range(x.ndim)) if axis is None else axis", "axes = axis",
     {"sum_axes": "None stands for all axes"}),
    ("sum", "a tuple forgotten", "axes = tuple(range(x.ndim)) if axis is None else axis",
     "axes = tuple(range(x.ndim)) if axis is None else int(axis)", {"sum_axes": "it may be a tuple"}),
    ("sum", "negative axes, hidden", "axes = tuple(range(x.ndim)) if axis is None else axis",
     "axes = tuple(range(x.ndim)) if axis is None else abs(axis) if isinstance(axis, int) else tuple(map(abs, axis))",
     {"sum_axis": "from the end", "sum_axes": "from the end"}),
    ("sum", "float64 from float32, hidden", SPREAD, "return dout * np.ones(x.shape)", {"sum_axis": "the dtype is not"}),
    # 5
    ("unary", "exp: the slope forgotten", UNARY_EXP, "return dout", {"exp_log": "the local derivative is missing"}),
    ("unary", "exp: upstream forgotten", UNARY_EXP, "return np.exp(x)",
     {"exp_log": "the same whatever the upstream gradient is"}),
    ("unary", "exp: as if it were a power", UNARY_EXP, "return dout * x * np.exp(x - 1)",
     {"exp_log": "it is another function"}),
    ("unary", "log: a product", UNARY_LOG, "return dout * x", {"exp_log": "it is another function"}),
    ("unary", "log: a sign", UNARY_LOG, "return -dout / x", {"exp_log": "the sign is flipped"}),
    ("unary", "log: one over x squared", UNARY_LOG, "return dout / x**2", {"exp_log": "a factor 'x' is missing"}),
    ("unary", "log: of base 10", UNARY_LOG, "return dout / (x * np.log(10))", {"exp_log": "of another base"}),
    ("unary", "relu: the mask inverted", UNARY_RELU, "return np.where(x < 0, dout, 0)", {"relu": "inverted"}),
    ("unary", "relu: upstream forgotten", UNARY_RELU, "return np.where(x > 0, 1.0, 0.0)",
     {"relu": "the same whatever the upstream gradient is"}),
    ("unary", "relu: no mask", UNARY_RELU, "return dout", {"relu": "wrong exactly where the input is negative"}),
    ("unary", "relu: the mask asks dout", UNARY_RELU, "return np.where(dout > 0, dout, 0)",
     {"relu": "asks another array than x"}),
    ("unary", "relu: the function itself", UNARY_RELU, "return dout * np.maximum(x, 0)",
     {"relu": "wrong exactly where the input is positive"}),
    ("unary", "relu: >=, hidden", UNARY_RELU, "return np.where(x >= 0, dout, 0)", {"relu": "kink"}),
    ("unary", "relu: in place", UNARY_RELU, "dout[x <= 0] = 0\n    return dout", {"relu": "writes into"}),
    ("unary", "relu: zeros", UNARY_RELU, "return np.zeros_like(x)", {"relu": "zero everywhere"}),
    # 6
    ("index", "= for +=", "np.add.at(dx, index, dout)", "dx[index] = dout", {"index_arrays": "the last write has won"}),
    ("index", "+= with a repeated index", "np.add.at(dx, index, dout)", "dx[index] += dout",
     {"index_arrays": "the last write has won"}),
    ("index", "zeros", "np.add.at(dx, index, dout)", "np.add.at(dx[index], ..., dout * 0)",
     {"index_slices": "zero everywhere", "index_arrays": "zero everywhere"}),
    ("index", "upstream forgotten", "np.add.at(dx, index, dout)", "np.add.at(dx, index, 1)",
     {"index_slices": "the same whatever", "index_arrays": "the same whatever"}),
    ("index", "upstream handed back", "return dx", "return dout",
     {"index_slices": "dx has the shape of x", "index_arrays": "dx has the shape of x"}),
    ("index", "a minus", "np.add.at(dx, index, dout)", "np.subtract.at(dx, index, dout)",
     {"index_slices": "the sign is flipped", "index_arrays": "the sign is flipped"}),
    ("index", "begins with x", "dx = np.zeros_like(x)", "dx = x.copy()",
     {"index_slices": "what does dx begin as", "index_arrays": "what does dx begin as"}),
    ("index", "indexed instead of scattered", "return dx", "return dx[index]",
     {"index_slices": "dx has the shape of x", "index_arrays": "dx has the shape of x"}),
    ("index", "float64 from float32, hidden", "dx = np.zeros_like(x)", "dx = np.zeros(x.shape)",
     {"index_slices": "the dtype is not"}),
    # 7
    ("backward", "= for +=", COLLECT, "pending[parent] = part",
     {"engine_shared": "they add up", "engine_order": "the sum of both parts"}),
    ("backward", "= for += in the leaves", LEAF, "node.grad = g.copy()",
     {"engine_leaves": "the second call has replaced"}),
    ("backward", "upstream forgotten", "pending = {root: upstream}", "pending = {root: np.ones_like(upstream)}",
     {"engine_chain": "the same whatever", "engine_shared": "the same whatever", "engine_order": "the same whatever",
      "engine_leaves": "the same whatever"}),
    ("backward", "first come, first served", LOOP, FIRST_COME, {"engine_order": "not before both have come in"}),
    ("backward", "last come, first served", LOOP, LAST_COME, {"engine_order": "not before both have come in"}),
    ("backward", "every path by itself", LOOP, EVERY_PATH, {"engine_order": "when it is complete"}),
    ("backward", "oldest first", "node = max(", "node = min(", {"engine_order": "when it is complete"}),
    ("backward", "recursion, hidden", LOOP, RECURSIVE, {"engine_chain": "RecursionError"}),
    ("backward", "sums kept in the nodes", LOOP, IN_NODES, {"engine_leaves": "in nodes that are no leaves"}),
    ("backward", "+= in place", COLLECT, "if parent in pending:\n                pending[parent] += part\n"
     "            else:\n                pending[parent] = part", {"engine_leaves": "a rule has only passed on"}),
    ("backward", "grad is not an array of its own, hidden", LEAF,
     "node.grad = g if node.grad is None else node.grad + g", {"engine_leaves": "every grad is an array of its own"}),
    ("backward", "only the first parent", "zip(node.parents, node.rules, strict=True)",
     "zip(node.parents[:1], node.rules[:1], strict=True)",
     {"engine_chain": "each of the parents", "engine_shared": "they add up", "engine_order": "the sum of both parts"}),
    ("backward", "a set of parents", "zip(node.parents, node.rules, strict=True)",
     "dict(zip(node.parents, node.rules, strict=True)).items()", {"engine_shared": "they add up"}),
    ("backward", "nothing is done", LOOP, "pass",
     {"engine_chain": "is still None", "engine_shared": "is still None", "engine_order": "is still None",
      "engine_leaves": "is still None"}),
]
