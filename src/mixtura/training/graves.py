"""The optimizer of Graves' sequence networks."""

from typing import Any

import keras


def graves_rmsprop(learning_rate: Any = 1e-4, **kwargs: Any) -> keras.optimizers.RMSprop:
    r"""Return RMSprop as Graves trained his networks with it: Keras' own, with his constants.

    $$n \leftarrow 0.95\, n + 0.05\, g^2, \qquad \bar g \leftarrow 0.95\, \bar g + 0.05\, g$$
    $$\Delta \leftarrow 0.9\, \Delta - \frac{\eta\, g}{\sqrt{n - \bar g^2 + 10^{-4}}}, \qquad
      w \leftarrow w + \Delta$$

    All three averages start at 0. (Graves 2013, Generating Sequences With Recurrent Neural Networks,
    arXiv:1308.0850, section 4.2, equations 38 to 45.)

    His gradients are sums over one sequence, Keras' are means over a batch. The step does not change with
    the gradients' scale as long as their variance is well above the 1e-4; far below it the step is
    $100\, \eta g$.

    Clip the derivatives, as he did (`ClipGradient`). In float32 $n$ carries rounding errors of about
    $10^{-7} g^2$: for a gradient above 20 or so that hardly changes from step to step they exceed the 1e-4,
    the difference $n - \bar g^2$ can be negative, and the weight becomes NaN.

    Args:
        learning_rate: $\eta$; a float or a `keras.optimizers.schedules.LearningRateSchedule`.
        **kwargs: any other argument of `keras.optimizers.RMSprop`, such as `clipvalue`; `rho`, `momentum`,
            `epsilon` and `centered` replace the constants above.

    Example:
        >>> import mixtura.training.graves
        >>> optimizer = mixtura.training.graves.graves_rmsprop()
        >>> optimizer.rho, optimizer.momentum, optimizer.epsilon, optimizer.centered
        (0.95, 0.9, 0.0001, True)
    """
    constants = {"rho": 0.95, "momentum": 0.9, "epsilon": 1e-4, "centered": True}
    return keras.optimizers.RMSprop(learning_rate, **{**constants, **kwargs})
