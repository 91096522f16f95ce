//! Tensors as PyTorch keeps them: views of storages, which several may share.
//!
//! A storage is read once, whatever the number of its views. Views that lie in one piece share its memory; the others are
//! copied, once each, and no more in all than the file is long: a small file can't ask for any memory that it likes.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

/// Where a tensor's values lie. Offset and strides count elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stored<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Storage<'a> {
    pub key: &'a str,
    pub dtype: DType,
}

/// The storages of a file that were asked for, and the copies of what lies scattered in them.
pub(super) struct Storages<'a> {
    /// Each with one dimension.
    whole: HashMap<&'a str, Tensor>,
    copies: HashMap<Stored<'a>, Tensor>,
    /// Bytes that copies may still take.
    left: usize,
}

impl<'a> Storages<'a> {
    /// Of a file of that many bytes.
    pub fn new(file_size: usize) -> Self {
        Self { whole: HashMap::new(), copies: HashMap::new(), left: file_size }
    }

    /// A contiguous tensor on the CPU. `read` gets the bytes of its storage, if they weren't asked for before.
    pub fn tensor<B: AsRef<[u8]>>(
        &mut self,
        stored: Stored<'a>,
        read: impl FnOnce(&str) -> Result<B, String>,
    ) -> Result<Tensor, String> {
        let Storage { key, dtype } = stored.storage;
        let whole = match self.whole.get(key) {
            Some(whole) if whole.dtype() == dtype => whole,
            Some(whole) => {
                let types = (whole.dtype().as_str(), dtype.as_str());
                return Err(format!("its storage {key} is {} to one tensor and {} to another", types.0, types.1));
            }
            None => {
                let bytes = read(key)?;
                let bytes = bytes.as_ref();
                let count = bytes.len() / dtype.size_in_bytes();
                let bytes = &bytes[..count * dtype.size_in_bytes()];
                let whole = Tensor::from_raw_buffer(bytes, dtype, &[count], &Device::Cpu).map_err(|e| e.to_string())?;
                self.whole.entry(key).or_insert(whole)
            }
        };
        let outside = || {
            let Stored { offset, shape, strides, .. } = &stored;
            let values = whole.elem_count();
            format!("shape {shape:?}, strides {strides:?} and offset {offset} don't fit its {values} stored values")
        };
        let count = elements(&stored.shape).ok_or_else(outside)?;
        let end = stored.end(count).ok_or_else(outside)?;
        // A tensor larger than its storage repeats values, which no weights do.
        if end > whole.elem_count().min(u32::MAX as usize) || count > whole.elem_count() {
            return Err(outside());
        }
        let tensor = if count == 0 || stored.is_contiguous() {
            whole.narrow(0, end - count, count).and_then(|values| values.reshape(stored.shape))
        } else if let Some(copy) = self.copies.get(&stored) {
            Ok(copy.clone())
        } else {
            let bytes = count * dtype.size_in_bytes();
            self.left = self.left.checked_sub(bytes).ok_or("its tensors overlap and would take more than the file")?;
            let indices = Tensor::from_vec(stored.indices(count), count, &Device::Cpu);
            let copy = indices.and_then(|indices| whole.index_select(&indices, 0)?.reshape(stored.shape.clone()));
            copy.inspect(|copy| drop(self.copies.insert(stored, copy.clone())))
        };
        tensor.map_err(|error| error.to_string())
    }
}

/// How many values a shape holds; `None` if their number, leaving out dimensions of 0, has no room in a `usize`.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n.max(1)))?;
    Some(if shape.contains(&0) { 0 } else { count })
}

impl Stored<'_> {
    /// One more than the last place in the storage, of `count` values.
    fn end(&self, count: usize) -> Option<usize> {
        if self.shape.len() != self.strides.len() {
            return None;
        }
        if count == 0 {
            return Some(0);
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |at, (&n, &stride)| at.checked_add((n - 1).checked_mul(stride)?));
        last?.checked_add(1)
    }

    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n == 1 || stride == step;
            step *= n;
            fits
        })
    }

    /// The places of the values in the storage.
    fn indices(&self, count: usize) -> Vec<u32> {
        let mut index = vec![0; self.shape.len()];
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let at: usize = index.iter().zip(&self.strides).map(|(&i, &stride): (&usize, _)| i * stride).sum();
            places.push((self.offset + at) as u32);
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: usize, shape: &[usize], strides: &[usize]) -> Stored<'static> {
        let storage = Storage { key: "0", dtype: DType::U8 };
        Stored { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn tensor(stored: Stored<'static>, bytes: &[u8]) -> Result<Tensor, String> {
        Storages::new(bytes.len()).tensor(stored, |_| Ok(bytes))
    }

    #[test]
    fn strides_are_followed() {
        let tensor = tensor(stored(1, &[2, 3], &[1, 2]), &[9, 0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(tensor.to_vec2::<u8>().unwrap(), [[0, 2, 4], [1, 3, 5]]);
    }

    #[test]
    fn a_scalar_and_an_empty_tensor() {
        assert_eq!(tensor(stored(1, &[], &[]), &[7, 8]).unwrap().to_scalar::<u8>().unwrap(), 8);
        assert_eq!(tensor(stored(0, &[0, 3], &[3, 1]), &[]).unwrap().dims(), [0, 3]);
        assert_eq!(tensor(stored(9, &[3, 0], &[1, 1]), &[7]).unwrap().dims(), [3, 0]);
    }

    #[test]
    fn values_outside_the_storage_are_an_error() {
        for bad in [
            stored(0, &[2, 3], &[3, 2]),
            stored(2, &[6], &[1]),
            stored(0, &[7], &[0]),
            stored(0, &[2], &[]),
            stored(usize::MAX, &[2], &[1]),
            stored(0, &[2], &[usize::MAX]),
            stored(0, &[usize::MAX, 2], &[1, 1]),
            stored(0, &[0, usize::MAX, 2], &[1, 1, 1]),
        ] {
            let error = tensor(bad, &[0; 6]).unwrap_err();
            assert!(error.contains("6 stored values"), "{error}");
        }
    }

    #[test]
    fn a_storage_is_read_once_and_copies_are_made_once_and_within_the_files_size() {
        let mut storages = Storages::new(8);
        let read = |_: &str| Ok([0, 1, 2, 3, 4, 5]);
        storages.tensor(stored(0, &[6], &[1]), read).unwrap();
        let again = |_: &str| -> Result<[u8; 0], String> { panic!("read twice") };
        for offset in [0, 2] {
            for _ in 0..1000 {
                let view = storages.tensor(stored(offset, &[2, 2], &[2, 1]), again).unwrap();
                assert_eq!(view.to_vec2::<u8>().unwrap()[0][0] as usize, offset);
                storages.tensor(stored(offset, &[2, 2], &[1, 2]), again).unwrap();
            }
        }
        let error = storages.tensor(stored(1, &[2, 2], &[1, 2]), again).unwrap_err();
        assert!(error.contains("more than the file"), "{error}");
        let other = Stored { storage: Storage { key: "0", dtype: DType::I64 }, ..stored(0, &[], &[]) };
        assert!(storages.tensor(other, again).unwrap_err().contains("u8 to one tensor and i64 to another"));
    }
}
