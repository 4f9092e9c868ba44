import pytest

from training.run.schedule import WARMUP_STEPS, Budget, rate_factor


def test_the_rate_warms_up_stays_and_decays_to_nothing():
    assert rate_factor(0, 0.0) == pytest.approx(1 / WARMUP_STEPS)
    assert rate_factor(WARMUP_STEPS - 1, 0.0) == 1.0
    assert rate_factor(10 * WARMUP_STEPS, 0.0) == 1.0
    assert rate_factor(10 * WARMUP_STEPS, 0.75) == pytest.approx(0.25)
    assert rate_factor(10 * WARMUP_STEPS, 1.0) == 0.0


def test_a_budget_of_steps_decays_in_its_last_part():
    budget = Budget(steps=100, seconds=None, decay_share=0.4)

    found = [budget.decay_progress(step, 0.0, 0.0) for step in (0, 60, 80, 100)]

    assert found == pytest.approx([0.0, 0.0, 0.5, 1.0])


def test_under_a_budget_of_steps_a_resumed_run_has_the_rates_of_an_uninterrupted_one():
    budget = Budget(steps=100, seconds=None, decay_share=0.4)

    for step in range(101):
        uninterrupted = budget.decay_progress(step, elapsed_s=9999.0, already=0.0)
        resumed = budget.decay_progress(step, elapsed_s=0.0, already=0.3)
        assert resumed == uninterrupted


def test_a_budget_of_time_decays_in_its_last_part():
    budget = Budget(steps=None, seconds=60.0, decay_share=0.5)

    found = [budget.decay_progress(7, elapsed_s, 0.0) for elapsed_s in (0, 30, 45, 60, 90)]

    assert found == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_under_a_budget_of_time_a_decay_that_had_begun_goes_on_and_never_back():
    budget = Budget(steps=None, seconds=60.0, decay_share=0.5)

    found = [budget.decay_progress(7, elapsed_s, 0.4) for elapsed_s in (0, 30, 60)]

    assert found == pytest.approx([0.4, 0.7, 1.0])


def test_of_two_budgets_the_scarcer_one_counts():
    budget = Budget(steps=100, seconds=60.0, decay_share=0.5)

    assert budget.share_used(step=10, elapsed_s=30.0) == 0.5
    assert budget.share_used(step=90, elapsed_s=30.0) == 0.9
    assert budget.share_used(step=200, elapsed_s=30.0) == 1.0
    assert budget.decay_progress(step=10, elapsed_s=45.0, already=0.0) == 0.5
    assert budget.decay_progress(step=75, elapsed_s=0.0, already=0.0) == 0.5
