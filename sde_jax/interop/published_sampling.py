"""The sampler that belongs to a published model."""

from sde_jax.interop.published_model import PublishedModel
from sde_jax.ode import AdaptiveSolver
from sde_jax.sampling import (
    Ancestral,
    BatchNormStep,
    Langevin,
    Predictor,
    PredictorCorrector,
    ProbabilityFlow,
    PublishedGrid,
    ReverseDiffusion,
    ScheduledStep,
)
from sde_jax.sde import DDPMChain, EulerChain, SMLDChain, TransitionRule


def published_sampler(model: PublishedModel) -> PredictorCorrector | ProbabilityFlow:
    """Builds the published sampler of a model (Song et al. 2021, app. F, G, and their code).

    Predictor and corrector make `num_scales` steps from times equally spaced from 1 to 1e-3, for VE
    to 1e-5, inclusive. Each step corrects and then predicts by the chain of `num_scales` levels.
    The ODE sampler follows the probability flow to the same time by a Dormand-Prince pair of
    tolerance 1e-5.

    `noise_removal` returns a mean: that of the last predictor step or, after the ODE, that of one
    step of reverse diffusion. Without a predictor it has no effect: the published code then returns
    the corrector's state, noise included.

    Raises:
      ValueError: if the model has neither predictor nor corrector.
    """
    chain, t_min = _chain(model), 1e-5 if model.sde == "vesde" else 1e-3
    if model.method == "ode":
        return ProbabilityFlow(
            solver=AdaptiveSolver(rtol=1e-5, atol=1e-5, method="dopri5"),
            t_min=t_min,
            denoise=model.noise_removal,
            ending=ReverseDiffusion(transition=chain),
        )
    step_size = BatchNormStep() if model.corrector == "langevin" else ScheduledStep()
    corrector = Langevin(
        snr=model.snr, steps=model.n_steps_each, step_size=step_size, transition=chain
    )
    predictor = _predictor(model, chain)
    return PredictorCorrector(
        grid=PublishedGrid(steps=model.num_scales, t_min=t_min),
        predictor=predictor,
        corrector=None if model.corrector == "none" else corrector,
        end="mean" if model.noise_removal and predictor is not None else "state",
    )


def _chain(model: PublishedModel) -> TransitionRule:
    """Returns the chain that discretizes the model's SDE."""
    match model.sde:
        case "vpsde":
            return DDPMChain(levels=model.num_scales)
        case "vesde":
            return SMLDChain(levels=model.num_scales)
    return EulerChain(steps=model.num_scales)


def _predictor(model: PublishedModel, chain: TransitionRule) -> Predictor | None:
    """Builds the predictor; ancestral steps have the posterior's variance only for VE."""
    match model.predictor:
        case "euler_maruyama":
            euler = EulerChain(steps=model.num_scales)
            return ReverseDiffusion(transition=euler, probability_flow=model.probability_flow)
        case "reverse_diffusion":
            return ReverseDiffusion(transition=chain, probability_flow=model.probability_flow)
        case "ancestral_sampling":
            return Ancestral(
                transition=chain, variance="beta" if model.sde == "vpsde" else "posterior"
            )
    return None
