//! A loss and what it is the sum of.

use candle_core::Tensor;

use crate::Result;

/// A sum of terms, each with its weight.
pub(super) struct Loss {
    /// A scalar with its graph.
    pub sum: Tensor,
    /// The terms that it is the sum of, scalars without a graph.
    pub terms: Vec<(&'static str, Tensor)>,
}

impl Loss {
    /// A loss of one term.
    pub fn of(name: &'static str, term: Tensor) -> Self {
        Self { terms: vec![(name, term.detach())], sum: term }
    }

    /// Adds `weight` times `term`.
    pub fn add(&mut self, name: &'static str, term: &Tensor, weight: f64) -> Result<()> {
        let term = term.affine(weight, 0.0)?;
        self.sum = (&self.sum + &term)?;
        self.terms.push((name, term.detach()));
        Ok(())
    }

    /// The sum of both.
    pub fn plus(mut self, other: Self) -> Result<Self> {
        self.sum = (self.sum + other.sum)?;
        self.terms.extend(other.terms);
        Ok(self)
    }

    /// All terms times `factor`.
    pub fn times(self, factor: f64) -> Result<Self> {
        let terms = self.terms.into_iter().map(|(name, term)| Ok((name, term.affine(factor, 0.0)?)));
        Ok(Self { sum: self.sum.affine(factor, 0.0)?, terms: terms.collect::<Result<_>>()? })
    }

    /// The same without its graph.
    pub fn detach(self) -> Self {
        Self { sum: self.sum.detach(), ..self }
    }

    /// The sum, and the terms with their names.
    pub fn values(&self) -> Result<(f64, Vec<(String, f64)>)> {
        let scalars = std::iter::once(&self.sum).chain(self.terms.iter().map(|(_, term)| term));
        // One way from the device, not one for each.
        let values = Tensor::stack(&scalars.map(Tensor::detach).collect::<Vec<_>>(), 0)?.to_vec1::<f32>()?;
        let terms =
            self.terms.iter().zip(&values[1..]).map(|((name, _), value)| ((*name).to_owned(), f64::from(*value)));
        Ok((f64::from(values[0]), terms.collect()))
    }
}
