//! Tensors as bytes behind the JSON.

use axum::body::Bytes;

use crate::failure::Failure;

/// The JSON of a body, and the tensors behind it.
pub(super) fn split(body: &Bytes, json_length: Option<&str>) -> Result<(Bytes, Bytes), Failure> {
    let Some(length) = json_length else {
        return Ok((body.clone(), Bytes::new()));
    };
    let wrong = || {
        let length: String = length.chars().take(40).collect();
        Failure::bad(format!("Inference-Header-Content-Length is {length}, the body has {} bytes", body.len()))
    };
    let length: usize = length.parse().map_err(|_| wrong())?;
    if length > body.len() {
        return Err(wrong());
    }
    Ok((body.slice(..length), body.slice(length..)))
}

/// The `count` elements of a BYTES tensor: each has its length before it, in four bytes, the lowest first.
pub(super) fn strings(tensor: &Bytes, count: usize) -> Result<Vec<Bytes>, Failure> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < tensor.len() && elements.len() <= count {
        let length = tensor[at..].first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        let end = length.and_then(|length| length.checked_add(at + 4)).filter(|end| *end <= tensor.len());
        let end = end.ok_or_else(|| Failure::bad("image: an element is longer than the tensor"))?;
        elements.push(tensor.slice(at + 4..end));
        at = end;
    }
    if elements.len() == count {
        return Ok(elements);
    }
    Err(Failure::bad(format!("image: the tensor hasn't as many elements as its shape says, {count}")))
}

/// Adds the elements of a BYTES tensor.
pub(super) fn write_strings(strings: &[String], into: &mut Vec<u8>) {
    for string in strings {
        into.extend((string.len() as u32).to_le_bytes());
        into.extend(string.as_bytes());
    }
}

/// The values of an FP32 tensor.
pub(super) fn floats(tensor: &Bytes, count: usize) -> Result<Vec<f32>, Failure> {
    let (values, rest) = tensor.as_chunks::<4>();
    if values.len() != count || !rest.is_empty() {
        let message = format!("pictures: the tensor has {} bytes, its shape says 4 x {count}", tensor.len());
        return Err(Failure::bad(message));
    }
    Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

/// Adds the values of an FP32 tensor.
pub(super) fn write_floats(values: &[f32], into: &mut Vec<u8>) {
    into.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_refused() {
        let mut bytes = Vec::new();
        write_strings(&["été".to_owned(), String::new(), "b".to_owned()], &mut bytes);
        let tensor = Bytes::from(bytes);
        assert_eq!(strings(&tensor, 3).unwrap(), ["été".as_bytes(), b"", b"b"]);
        for count in [0, 2, 4] {
            assert!(strings(&tensor, count).is_err(), "{count}");
        }
        for length in 1..tensor.len() {
            assert!(strings(&tensor.slice(..length), 3).is_err(), "{length}");
        }
        assert!(strings(&Bytes::from_static(&[255; 8]), 1).is_err());
        let mut bytes = Vec::new();
        write_floats(&[0.5, -2.0], &mut bytes);
        assert_eq!(floats(&Bytes::from(bytes.clone()), 2).unwrap(), [0.5, -2.0]);
        assert!(
            floats(&Bytes::from(bytes.clone()), 1).is_err() && floats(&Bytes::from(bytes[..7].to_vec()), 2).is_err()
        );
    }

    #[test]
    fn the_json_ends_where_the_header_says() {
        let body = Bytes::from_static(b"{}123");
        assert_eq!(split(&body, Some("2")).unwrap(), (body.slice(..2), body.slice(2..)));
        assert_eq!(split(&body, None).unwrap(), (body.clone(), Bytes::new()));
        for wrong in ["6", "-1", "x", "", "99999999999999999999999"] {
            assert!(split(&body, Some(wrong)).is_err(), "{wrong}");
        }
    }
}
