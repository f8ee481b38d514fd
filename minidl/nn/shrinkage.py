"""What penalties do to the minimum of a quadratic loss: the exact answers, to compare trained weights with.

Near its minimum w* a smooth loss is L(w) = L(w*) + 1/2 (w - w*)^T H (w - w*), with the Hessian H (`minidl.hessian`).
Arrays or Tensors in, arrays out.
"""

from __future__ import annotations

import numpy as np

from ..arrays import describe, raw_of


def soft_threshold(w, threshold) -> np.ndarray:
    """sign(w) max(|w| - threshold, 0), elementwise: the proximal step of `threshold` * |w|.

        argmin over z of 1/2 (z - w)^2 + threshold |z|

    threshold: a number >= 0, or an array of them that broadcasts. Keeps a floating dtype of w; NaN stays NaN.

    Donoho (1995), "De-noising by soft-thresholding", IEEE Transactions on Information Theory 41.

    >>> soft_threshold(np.array([-3.0, 0.5, 2.0]), 1.0)
    array([-2.,  0.,  1.])
    """
    w, threshold = raw_of(w), raw_of(threshold)
    w = w if w.dtype.kind == "f" else w.astype(np.float64)
    if not (threshold >= 0).all():
        raise ValueError(f"soft_threshold: the threshold must be >= 0, not {threshold.min()}")
    return w - np.clip(w, -threshold, threshold).astype(w.dtype)


def l2_shrinkage(hessian, w, alpha: float) -> np.ndarray:
    """The minimum of 1/2 (z - w)^T H (z - w) + alpha/2 |z|^2: L2 shrinks along the Hessian's eigenvectors.

        z = (H + alpha I)^-1 H w = Q diag(lambda_i / (lambda_i + alpha)) Q^T w,        H = Q diag(lambda_i) Q^T

    What matters for the loss (lambda_i >> alpha) is kept, what does not is given up. hessian: (n, n), symmetric and
    without negative eigenvalues; w: (n,), the minimum without the penalty; alpha: a number > 0.

    Raises ValueError for what is no such Hessian. Goodfellow, Bengio, Courville (2016), "Deep Learning", section 7.1.1.

    >>> l2_shrinkage(np.diag([9.0, 1.0, 0.0]), np.ones(3), alpha=1.0)
    array([0.9, 0.5, 0. ])
    """
    H, w = _checked("l2_shrinkage", hessian, w, alpha)
    values, Q = np.linalg.eigh(H)
    if values[0] < -1e-5 * max(values[-1], 0.0) or values[-1] <= 0:
        raise ValueError(f"l2_shrinkage: the Hessian has eigenvalues from {values[0]:.3g} to {values[-1]:.3g}, so w is "
                         "no minimum; take it where the gradient is 0")
    values = np.maximum(values, 0)
    return Q @ (values / (values + alpha) * (Q.T @ w))


def l1_shrinkage(hessian, w, alpha: float) -> np.ndarray:
    """The minimum of 1/2 (z - w)^T H (z - w) + alpha sum |z|, for a diagonal H: L1 cuts off, and sets to zero.

        z_i = sign(w_i) max(|w_i| - alpha / H_ii, 0)

    hessian: (n, n), diagonal and positive (with decorrelated inputs it is; for others there is no formula); w: (n,),
    the minimum without the penalty; alpha: a number > 0.

    Raises ValueError for another Hessian. Goodfellow, Bengio, Courville (2016), "Deep Learning", section 7.1.2.

    >>> l1_shrinkage(np.diag([9.0, 1.0]), np.array([1.0, -0.5]), alpha=0.9)
    array([0.9, 0. ])
    """
    H, w = _checked("l1_shrinkage", hessian, w, alpha)
    curvature = np.diagonal(H)
    if not (np.abs(H - np.diag(curvature)).max() <= 1e-6 * np.abs(curvature).max() and (curvature > 0).all()):
        raise ValueError("l1_shrinkage: the formula holds for a diagonal, positive Hessian; this one is not")
    return soft_threshold(w, alpha / curvature)


def _checked(owner: str, hessian, w, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    H, w = raw_of(hessian), raw_of(w)
    if w.ndim != 1 or H.shape != (w.size, w.size) or not w.size:
        raise ValueError(f"{owner} takes a Hessian (n, n) and weights (n,), not {describe(H)} and {describe(w)}; give "
                         "minidl.hessian of a function of a flat vector")
    if not alpha > 0:
        raise ValueError(f"{owner}: alpha must be > 0, not {alpha!r}")
    if not np.allclose(H, H.T, rtol=1e-4, atol=1e-6 * np.abs(H).max()):
        raise ValueError(f"{owner}: the Hessian is not symmetric")
    return H, w
