//! The state machine against a model that knows only its history.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const FAILURES: u32 = 3;
const COOL_DOWN: Duration = Duration::from_secs(10);

fn machine() -> Machine {
    Machine::new(BreakerConfig { failures: FAILURES, cool_down: COOL_DOWN })
}

#[derive(Clone, Debug)]
enum Step {
    Call,
    /// Ends the call at this place among those under way.
    End(usize, Verdict),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![2 => Just(Verdict::Answered), 5 => Just(Verdict::Failed), 1 => Just(Verdict::Unknown)];
    prop_oneof![
        4 => Just(Step::Call),
        5 => (0..4_usize, verdict).prop_map(|(at, verdict)| Step::End(at, verdict)),
        2 => (0..15_u64).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
    ]
}

/// Everything that counted since the breaker was last closed; where it stands is worked out anew each time.
#[derive(Default)]
struct Model {
    /// Failures and successes of calls begun since it last closed.
    verdicts: Vec<Verdict>,
    /// When it opened for the last time, since it was last closed.
    opened: Option<Instant>,
    /// A call that was let through while it was open.
    probing: bool,
    /// Calls begun under an earlier period do not count: each carries the number of its period.
    period: usize,
}

impl Model {
    fn admits(&self, now: Instant) -> bool {
        self.opened.is_none_or(|opened| !self.probing && now.duration_since(opened) >= COOL_DOWN)
    }

    fn call(&mut self) -> (usize, bool) {
        self.probing = self.opened.is_some();
        (self.period, self.probing)
    }

    fn end(&mut self, (period, probe): (usize, bool), verdict: Verdict, now: Instant) {
        if period != self.period || probe != self.probing {
            return;
        }
        match (probe, verdict) {
            (true, Verdict::Answered) => *self = Self { period: self.period + 1, ..Self::default() },
            (true, Verdict::Failed) => (self.opened, self.probing) = (Some(now), false),
            (true, Verdict::Unknown) => self.probing = false,
            (false, Verdict::Unknown) => {}
            (false, _) if self.opened.is_some() => {}
            (false, _) => {
                self.verdicts.push(verdict);
                let in_a_row = self.verdicts.iter().rev().take_while(|verdict| **verdict == Verdict::Failed).count();
                self.opened = (in_a_row >= FAILURES as usize).then_some(now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_admits_what_its_history_allows(steps in vec(step(), 1..60)) {
        let (mut machine, mut model) = (machine(), Model::default());
        let (mut now, mut under_way) = (Instant::now(), Vec::new());
        for step in steps {
            match step {
                Step::Call => {
                    let expected = model.admits(now);
                    prop_assert_eq!(machine.refuses(now), !expected);
                    let epoch = machine.admit(now);
                    prop_assert_eq!(epoch.is_some(), expected);
                    if let Some(epoch) = epoch {
                        under_way.push((epoch, model.call()));
                    }
                }
                Step::End(at, verdict) if at < under_way.len() => {
                    let (epoch, call) = under_way.remove(at);
                    machine.settle(epoch, verdict, now);
                    model.end(call, verdict, now);
                }
                Step::End(..) => {}
                Step::Wait(time) => now += time,
            }
        }
        // Whatever happened, a backend that is back is in use again after the cool-down.
        for (epoch, _) in under_way {
            machine.settle(epoch, Verdict::Unknown, now);
        }
        now += COOL_DOWN;
        let epoch = machine.admit(now);
        prop_assert!(epoch.is_some());
        machine.settle(epoch.unwrap_or_default(), Verdict::Answered, now);
        let closed = matches!(machine.state, State::Closed { failures: 0 });
        prop_assert!(closed);
    }
}

#[test]
fn it_opens_after_failures_in_a_row_alone() {
    let (mut machine, now) = (machine(), Instant::now());
    for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Answered, Verdict::Failed, Verdict::Unknown, Verdict::Failed] {
        let epoch = machine.admit(now).expect("closed");
        assert!(!machine.settle(epoch, verdict, now));
    }
    let epoch = machine.admit(now).expect("closed");
    assert!(machine.settle(epoch, Verdict::Failed, now), "the third in a row");
    assert!(machine.admit(now + COOL_DOWN - Duration::from_millis(1)).is_none());
    assert!(machine.admit(now + COOL_DOWN).is_some());
    assert!(machine.admit(now + COOL_DOWN * 9).is_none(), "one probe at a time");
}
