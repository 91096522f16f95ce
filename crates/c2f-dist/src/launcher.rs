//! What a launcher says by the environment.

/// Variables that say how many processes were started: those of OpenMPI, of MPICH and its kin, and of torchrun.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "WORLD_SIZE"];

/// That of SLURM, which batch scripts see, too, unlike the second: only `srun` sets that.
const SLURM: (&str, &str) = ("SLURM_NTASKS", "SLURM_STEP_ID");

/// The variable of a launcher that started more than one process, and how many it started; none for a program that was started by hand.
pub(crate) fn started() -> Option<(&'static str, usize)> {
    started_by(&|name| std::env::var(name).ok())
}

fn started_by(variable: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, usize)> {
    let size = |name: &'static str| Some((name, variable(name)?.trim().parse().ok().filter(|&size| size > 1)?));
    let by_srun = || variable(SLURM.1).and_then(|_| size(SLURM.0));
    SIZES.into_iter().find_map(size).or_else(by_srun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_known_by_their_variables() {
        let of = |set: &[(&str, &str)]| {
            started_by(&|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "4")]), Some(("OMPI_COMM_WORLD_SIZE", 4)));
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "1"), ("WORLD_SIZE", "2")]), Some(("WORLD_SIZE", 2)));
        // A batch script has the number of tasks, but is one process.
        assert_eq!(of(&[("SLURM_NTASKS", "8")]), None);
        assert_eq!(of(&[("SLURM_NTASKS", "8"), ("SLURM_STEP_ID", "0")]), Some(("SLURM_NTASKS", 8)));
        assert_eq!(of(&[("PMI_SIZE", "many")]), None);
    }
}
