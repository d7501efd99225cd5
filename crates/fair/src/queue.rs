//! A queue in which tenants take turns.

use std::collections::{HashMap, VecDeque};

use crate::Tenant;

/// A queue in which tenants take turns, and the items of one tenant keep their order. It has no bound: its users must bound it.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// The waiting items of each tenant; no line is ever empty.
    lines: HashMap<Tenant, VecDeque<T>>,
    /// Each tenant that has a line, once. The first one is next.
    turns: VecDeque<Tenant>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// Puts `item` at the end of its tenant's line.
    pub fn push(&mut self, tenant: &Tenant, item: T) {
        self.len += 1;
        if let Some(line) = self.lines.get_mut(tenant) {
            line.push_back(item);
        } else {
            self.lines.insert(tenant.clone(), VecDeque::from([item]));
            self.turns.push_back(tenant.clone());
        }
    }

    /// The first item of the tenant whose turn it is, with that tenant, who then goes to the end.
    pub fn pop(&mut self) -> Option<(Tenant, T)> {
        let tenant = self.turns.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let item = line.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turns.push_back(tenant.clone());
        }
        Some((tenant, item))
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn tenant(number: usize) -> Tenant {
        Tenant::named(&number.to_string())
    }

    #[test]
    fn one_item_of_a_tenant_waits_for_one_of_each_other_however_many_they_have() {
        let mut queue = FairQueue::default();
        for number in 0..500 {
            queue.push(&tenant(0), number);
        }
        queue.push(&tenant(1), 1000);
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).take(4).collect();
        assert_eq!(popped, [0, 1000, 1, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Of the steps, `None` pops, and `Some` pushes for that tenant.
        #[test]
        fn nothing_is_lost_lines_keep_their_order_and_nobody_is_passed_over_twice(steps in vec(prop::option::of(0_usize..5), 0..200)) {
            let mut queue = FairQueue::default();
            let mut lines: Vec<VecDeque<usize>> = vec![VecDeque::new(); 5];
            // For each tenant with a line: how many items were popped since its last turn.
            let mut passed = [0; 5];
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(pushed) = step {
                    queue.push(&tenant(pushed), number);
                    lines[pushed].push_back(number);
                } else if let Some((popped, item)) = queue.pop() {
                    let of = (0..5).find(|number| tenant(*number) == popped).unwrap();
                    prop_assert_eq!(lines[of].pop_front(), Some(item));
                    for other in 0..5 {
                        passed[other] = if other == of || lines[other].is_empty() { 0 } else { passed[other] + 1 };
                        prop_assert!(passed[other] < 5);
                    }
                } else {
                    prop_assert!(lines.iter().all(VecDeque::is_empty));
                }
                prop_assert_eq!(queue.len(), lines.iter().map(VecDeque::len).sum::<usize>());
            }
        }
    }
}
