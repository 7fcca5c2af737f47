"""What a payout must come to, computed a second time from the schemes' definitions, with whole numbers."""

DIFF1 = 0xFFFF << 208


def target_of(difficulty):
    """floor(diff1 / difficulty), difficulty a decimal text: how the pool and this test agree on targets."""
    from fractions import Fraction
    return int(DIFF1 / Fraction(difficulty))


def work_of(target):
    return (1 << 256) // (target + 1)


def split(amount, weights):
    """Largest remainder; ties to the smaller key. {key: units}, summing to amount."""
    total = sum(weights.values())
    parts = {k: amount * w // total for k, w in weights.items()}
    left = amount - sum(parts.values())
    for k in sorted(weights, key=lambda k: (-(amount * weights[k] % total), k))[:left]:
        parts[k] += 1
    return parts


def fee_of(value, ppm):
    """Rounded in the pool's favour."""
    return -(-value * ppm // 1_000_000)


def pplns(shares, window):
    """shares: (key, work), oldest first. Work by key within the newest `window` of work, the last cut."""
    weights, left = {}, window
    for key, work in reversed(shares):
        take = min(work, left)
        weights[key] = weights.get(key, 0) + take
        left -= take
        if left == 0:
            break
    return weights
