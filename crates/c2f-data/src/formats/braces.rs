//! Names of many files in one, as shells and WebDataset write them: `{000..127}.tar`.

/// The most names that a pattern may stand for.
const MOST: usize = 100_000;
/// The most bytes of a pattern, which are those of a path.
const LONGEST: usize = 4096;

/// Every name that a pattern stands for, in the order in which bash has them: `{a,b}` is one of several, which may have braces
/// in them, `{00..12}` a range of numbers, written with as many digits as its ends have.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if pattern.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let Some(open) = pattern.find('{') else {
        if pattern.contains('}') {
            return Err("has a `}` without its `{`".to_owned());
        }
        return Ok(vec![pattern.to_owned()]);
    };
    let (parts, close) = parts(&pattern[open..]).ok_or("has a `{` without its `}`")?;
    let (before, inside, after) = (&pattern[..open], &pattern[open + 1..open + close], &pattern[open + close + 1..]);
    if before.contains('}') {
        return Err("has a `}` without its `{`".to_owned());
    }
    let middles = match parts.as_slice() {
        [_] => range(inside)?,
        parts => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(expand(part)?);
                check(all.len())?;
            }
            all
        }
    };
    let ends = expand(after)?;
    check(middles.len().saturating_mul(ends.len()))?;
    Ok(middles.iter().flat_map(|middle| ends.iter().map(move |end| format!("{before}{middle}{end}"))).collect())
}

/// What commas separate between the brace at the beginning of a text and its partner, and where that is.
fn parts(text: &str) -> Option<(Vec<&str>, usize)> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 1);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => {
                parts.push(&text[start..at]);
                return Some((parts, at));
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// The numbers of `000..127`.
fn range(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("has `{{{text}}}`, expected a range such as `{{000..127}}`, or names such as `{{a,b}}`");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok())?;
    let (from, to) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
    if from > to {
        return Err(wrong());
    }
    check((to - from).saturating_add(1))?;
    let is_padded = [first, last].iter().any(|end| end.len() > 1 && end.starts_with('0'));
    let width = if is_padded { first.len().max(last.len()) } else { 0 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

fn check(names: usize) -> Result<(), String> {
    if names > MOST { Err(format!("stands for more than {MOST} names")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_bash() {
        // echo PATTERN
        for (pattern, names) in [
            ("a.tar", "a.tar"),
            ("d/{8..11}.tar", "d/8.tar d/9.tar d/10.tar d/11.tar"),
            ("{08..11}", "08 09 10 11"),
            ("{1..003}", "001 002 003"),
            ("{0..0}", "0"),
            ("{a,b}-{0..1}", "a-0 a-1 b-0 b-1"),
            (
                "x/{train-{00..01},test-{0..1},val}.tar",
                "x/train-00.tar x/train-01.tar x/test-0.tar x/test-1.tar x/val.tar",
            ),
            ("{a,}b", "ab b"),
        ] {
            assert_eq!(expand(pattern).unwrap().join(" "), names, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for (pattern, named) in [
            ("{".repeat(5000).as_str(), "longer than 4096"),
            ("{0..1", "without its `}`"),
            ("0..1}", "without its `{`"),
            ("a}{0..1}", "without its `{`"),
            ("{}", "has `{}`"),
            ("{a}", "has `{a}`"),
            ("{5..1}", "has `{5..1}`"),
            ("{-1..1}", "has `{-1..1}`"),
            ("{0..18446744073709551615}", "more than 100000"),
            ("{0..99999}{0..99999}", "more than 100000"),
            ("{{0..99999},{0..99999}}", "more than 100000"),
        ] {
            let message = expand(pattern).unwrap_err();
            assert!(message.contains(named), "{pattern}: {message}");
        }
    }
}
