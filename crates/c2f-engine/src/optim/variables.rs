//! What every optimiser is made of: variables, and what is kept for each between two steps.

use candle_core::Tensor;

use super::each::each;
use super::{Gradients, Member, State};
use crate::Result;

/// Variables and their state.
#[derive(Clone, Debug)]
pub(super) struct Variables {
    pub members: Vec<Member>,
    pub state: State,
}

impl Variables {
    /// With nothing kept yet.
    pub fn new(members: Vec<Member>) -> Self {
        Self { members, state: State::new() }
    }

    /// Lets `rule` move each variable that has a gradient, by that and the state of before; what it gives is kept, by name.
    pub fn step<Kept>(
        &mut self,
        gradients: &Gradients,
        rule: impl Fn(&Member, &Tensor, &State) -> Result<Kept> + Sync + Send,
    ) -> Result<()>
    where
        Kept: IntoIterator<Item = (String, Tensor)> + Send,
    {
        let Some(first) = self.members.first() else { return Ok(()) };
        let moved = each(&self.members, first.var.device(), |member| {
            gradients.get(&member.name).map(|gradient| rule(member, gradient, &self.state)).transpose()
        });
        for kept in moved {
            self.state.extend(kept?.into_iter().flatten());
        }
        Ok(())
    }
}
