//! What decides a class: the form and colour of the beak, the wing bars and the tail.

/// The form of a beak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beak {
    /// Short and thick, like a finch's.
    Cone,
    /// Long, straight and thin, like a kingfisher's.
    Dagger,
    /// Bent down to a point, like a parrot's.
    Hooked,
}

/// The colour of a beak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeakColour {
    /// A warm yellow.
    Yellow,
    /// A pure red.
    Red,
    /// A bright blue.
    Blue,
}

/// The pale bars across a wing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bars {
    /// A plain wing.
    None,
    /// One bar.
    Single,
    /// Two bars.
    Double,
}

/// The form of a tail's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Cut in to a deep V, like a swallow's.
    Forked,
    /// Cut straight.
    Square,
    /// Drawn out to one point.
    Pointed,
}

/// Everything that decides a class, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The form of the beak.
    pub beak: Beak,
    /// The colour of the beak.
    pub colour: BeakColour,
    /// The bars of the wing.
    pub bars: Bars,
    /// The form of the tail.
    pub tail: Tail,
}

impl Attributes {
    /// A name such as `hooked-yellow-beak_double-bar_forked-tail`.
    pub fn name(&self) -> String {
        let beak = match self.beak {
            Beak::Cone => "cone",
            Beak::Dagger => "dagger",
            Beak::Hooked => "hooked",
        };
        let colour = match self.colour {
            BeakColour::Yellow => "yellow",
            BeakColour::Red => "red",
            BeakColour::Blue => "blue",
        };
        let bars = match self.bars {
            Bars::None => "no-bar",
            Bars::Single => "single-bar",
            Bars::Double => "double-bar",
        };
        let tail = match self.tail {
            Tail::Forked => "forked",
            Tail::Square => "square",
            Tail::Pointed => "pointed",
        };
        format!("{beak}-{colour}-beak_{bars}_{tail}-tail")
    }
}

const fn class(beak: Beak, colour: BeakColour, bars: Bars, tail: Tail) -> Attributes {
    Attributes { beak, colour, bars, tail }
}

/// The classes, in the order of their labels.
///
/// Each differs from the one before in exactly one attribute (a Gray code), so that however many of them a data set
/// takes from the front, every class has a neighbour that only one part tells apart.
pub const CLASSES: [Attributes; 24] = [
    class(Beak::Cone, BeakColour::Yellow, Bars::None, Tail::Forked),
    class(Beak::Cone, BeakColour::Yellow, Bars::Double, Tail::Forked),
    class(Beak::Cone, BeakColour::Yellow, Bars::Double, Tail::Pointed),
    class(Beak::Dagger, BeakColour::Yellow, Bars::Double, Tail::Pointed),
    class(Beak::Dagger, BeakColour::Red, Bars::Double, Tail::Pointed),
    class(Beak::Dagger, BeakColour::Red, Bars::None, Tail::Pointed),
    class(Beak::Dagger, BeakColour::Red, Bars::None, Tail::Square),
    class(Beak::Hooked, BeakColour::Red, Bars::None, Tail::Square),
    class(Beak::Hooked, BeakColour::Blue, Bars::None, Tail::Square),
    class(Beak::Hooked, BeakColour::Blue, Bars::Single, Tail::Square),
    class(Beak::Hooked, BeakColour::Blue, Bars::Single, Tail::Forked),
    class(Beak::Cone, BeakColour::Blue, Bars::Single, Tail::Forked),
    class(Beak::Cone, BeakColour::Red, Bars::Single, Tail::Forked),
    class(Beak::Cone, BeakColour::Red, Bars::Single, Tail::Square),
    class(Beak::Cone, BeakColour::Red, Bars::Double, Tail::Square),
    class(Beak::Hooked, BeakColour::Red, Bars::Double, Tail::Square),
    class(Beak::Hooked, BeakColour::Yellow, Bars::Double, Tail::Square),
    class(Beak::Hooked, BeakColour::Yellow, Bars::Double, Tail::Forked),
    class(Beak::Hooked, BeakColour::Yellow, Bars::None, Tail::Forked),
    class(Beak::Dagger, BeakColour::Yellow, Bars::None, Tail::Forked),
    class(Beak::Dagger, BeakColour::Blue, Bars::None, Tail::Forked),
    class(Beak::Dagger, BeakColour::Blue, Bars::Single, Tail::Forked),
    class(Beak::Dagger, BeakColour::Blue, Bars::Single, Tail::Pointed),
    class(Beak::Hooked, BeakColour::Blue, Bars::Single, Tail::Pointed),
];

/// The names of the first `classes` classes (at most 24), in the order of their labels.
pub fn class_names(classes: usize) -> Vec<String> {
    CLASSES.iter().take(classes).map(Attributes::name).collect()
}
