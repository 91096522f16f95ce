//! Accuracy above the classes.

use serde::Serialize;

use crate::{PictureResult, Taxonomy};

/// The accuracy at a level of the taxonomy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LevelAccuracy {
    /// Counted from the most general one, from 1.
    pub level: usize,
    /// How many groups the classes belong to there.
    pub groups: usize,
    /// How often the predicted class is of the truth's group.
    pub top1: f64,
}

/// Those of all levels, the most general first.
pub(super) fn levels(rows: &[PictureResult], taxonomy: &Taxonomy) -> Vec<LevelAccuracy> {
    let accuracy = |level: usize| {
        let groups = taxonomy.groups(level);
        let right = rows.iter().filter(|row| groups[row.predicted] == groups[row.label]).count();
        // A group is named by its first class.
        let count = groups.iter().enumerate().filter(|(class, group)| class == *group).count();
        LevelAccuracy { level: level + 1, groups: count, top1: right as f64 / rows.len().max(1) as f64 }
    };
    (0..taxonomy.levels()).map(accuracy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::tests::row;

    #[test]
    fn a_mistake_within_a_group_is_right_above_it() {
        let taxonomy =
            serde_json::from_str::<Taxonomy>(r#"[["bird", "crow"], ["bird", "crow"], ["bird", "gull"], ["bat"]]"#);
        let rows = [row(0, 0, 0.9), row(0, 1, 0.6), row(0, 2, 0.5), row(0, 3, 0.5)];
        let level = |level, groups, top1| LevelAccuracy { level, groups, top1 };
        assert_eq!(levels(&rows, &taxonomy.unwrap()), [level(1, 2, 0.75), level(2, 3, 0.5)]);
    }
}
