//! From what a request carries to what the network takes.

use c2f_data::{Limits, Transform, Views};

use crate::failure::Failure;

/// How the pictures of a network are read and laid out.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub transform: Transform,
    pub limits: Limits,
    /// Width and height of the network's picture.
    pub size: usize,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl Reader {
    /// The views of a picture in any format that data sets have; errors call it `name`.
    pub fn decode(&self, name: &str, bytes: &[u8]) -> Result<Views, Failure> {
        let picture = c2f_data::decode_bytes_within(name, bytes, self.limits);
        let picture = picture.map_err(|error| Failure::bad(error.to_string()))?;
        Ok(self.transform.apply(&picture, 0, 0, 0))
    }

    /// How many values [`planes`](Self::planes) takes for a picture.
    pub fn values(&self) -> usize {
        3 * self.size * self.size
    }

    /// The view of a picture that has the network's size: (3, size, size), in 0..=1.
    pub fn planes(&self, mut values: Vec<f32>) -> Result<Views, Failure> {
        let place = |i: usize| (i / (self.size * self.size)) % 3;
        if let Some(wrong) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(Failure::bad(format!("pictures: a value is {wrong}, expected 0 to 1")));
        }
        for (i, value) in values.iter_mut().enumerate() {
            *value = (*value - self.mean[place(i)]) / self.std[place(i)];
        }
        Ok(Views { coarse: values, source: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_normalised_by_their_channel_and_in_range() {
        let reader = Reader {
            transform: Transform::Eval(c2f_data::EvalTransform::default()),
            limits: Limits::default(),
            size: 1,
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 0.25],
        };
        assert_eq!(reader.planes(vec![0.25, 1.0, 0.0]).unwrap().coarse, [0.25, 1.0, -4.0]);
        for wrong in [255.0, -0.1, f32::NAN, f32::INFINITY] {
            let failure = reader.planes(vec![0.0, wrong, 0.0]).unwrap_err();
            assert!(failure.message.contains("expected 0 to 1"), "{}", failure.message);
        }
    }
}
