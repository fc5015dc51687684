"""Networks: Linen modules ``(x, time, condition=None, *, deterministic=True) -> output like x``.

They know no SDE: ``time`` is whatever number the caller wants embedded, one per example. The
classifier takes x alone.
"""
