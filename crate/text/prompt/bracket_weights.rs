//! Weights of nested brackets.
//!
//! A weight is the product of the multipliers of all brackets around a piece of text. Pieces with
//! equal weights are merged later, so the products must have the web UI's very rounding: it
//! multiplies whenever a bracket closes, hence from the innermost outward. Round and square
//! brackets are matched without regard to each other and may overlap: `(a [b) c]`.

/// Brackets around a piece up to which multiplications are in the web UI's order. Pieces inside
/// more brackets cost no more than this, and their weights differ in rounding only.
const EXACT_DEPTH: usize = 256;

/// Order of an unclosed bracket. The web UI closes them at the end of the prompt, round ones first.
const UNCLOSED_ROUND: usize = usize::MAX - 1;
const UNCLOSED_SQUARE: usize = usize::MAX;

/// `(` and `)`, or `[` and `]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Round,
    Square,
}

impl Shape {
    /// The multiplier of brackets that name no weight.
    fn multiplier(self) -> f64 {
        match self {
            Shape::Round => 1.1,
            Shape::Square => 1.0 / 1.1,
        }
    }
}

/// The innermost open bracket of each shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    round: Option<usize>,
    square: Option<usize>,
}

impl Place {
    fn of(&mut self, shape: Shape) -> &mut Option<usize> {
        match shape {
            Shape::Round => &mut self.round,
            Shape::Square => &mut self.square,
        }
    }

    /// True inside a bracket of this shape.
    pub(super) fn is_in(mut self, shape: Shape) -> bool {
        self.of(shape).is_some()
    }
}

struct Bracket {
    /// Byte of the prompt.
    at: usize,
    /// The next bracket of the same shape outward. It has a lower index.
    parent: Option<usize>,
    /// Brackets of the same shape from here outward.
    depth: usize,
    multiplier: f64,
    /// Brackets closed before this one.
    order: usize,
    /// Product of the multipliers from here outward, outermost first.
    product: f64,
}

/// Brackets of a prompt, filled in the order of the text.
#[derive(Default)]
pub(super) struct Brackets {
    all: Vec<Bracket>,
    place: Place,
    closed: usize,
}

impl Brackets {
    /// The brackets that are open now.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Opens a bracket that is at byte `at`.
    pub(super) fn open(&mut self, shape: Shape, at: usize) {
        let index = self.all.len();
        let parent = self.place.of(shape).replace(index);
        self.all.push(Bracket {
            at,
            parent,
            depth: 1 + parent.map_or(0, |parent| self.all[parent].depth),
            multiplier: shape.multiplier(),
            order: match shape {
                Shape::Round => UNCLOSED_ROUND,
                Shape::Square => UNCLOSED_SQUARE,
            },
            product: 1.0,
        });
    }

    /// Closes the innermost open bracket of a shape, with a multiplier of its own where `weight`
    /// gives one. False where none is open.
    pub(super) fn close(&mut self, shape: Shape, weight: Option<f64>) -> bool {
        let Some(index) = *self.place.of(shape) else {
            return false;
        };
        let bracket = &mut self.all[index];
        bracket.multiplier = weight.unwrap_or(bracket.multiplier);
        bracket.order = self.closed;
        self.closed += 1;
        *self.place.of(shape) = bracket.parent;
        true
    }

    /// Bytes of the prompt at which brackets were opened that are still open.
    pub(super) fn unclosed(&self) -> impl Iterator<Item = usize> + '_ {
        let unclosed = |bracket: &&Bracket| bracket.order >= UNCLOSED_ROUND;
        self.all.iter().filter(unclosed).map(|bracket| bracket.at)
    }

    /// Computes the products; needed once before [`Brackets::weight`].
    pub(super) fn finish(&mut self) {
        for i in 0..self.all.len() {
            let outer = self.all[i]
                .parent
                .map_or(1.0, |parent| self.all[parent].product);
            self.all[i].product = outer * self.all[i].multiplier;
        }
    }

    /// The weight of a piece at `place` that has the weight `own` outside brackets.
    pub(super) fn weight(&self, own: f64, place: Place) -> f64 {
        let Place {
            mut round,
            mut square,
        } = place;
        let bracket = |index: Option<usize>| index.map(|index| &self.all[index]);
        let depth = |index| bracket(index).map_or(0, |bracket| bracket.depth);
        if depth(round) + depth(square) > EXACT_DEPTH {
            let product = |index| bracket(index).map_or(1.0, |bracket| bracket.product);
            return own * (product(round) * product(square));
        }
        let mut weight = own;
        loop {
            let inner = match (bracket(round), bracket(square)) {
                (None, None) => return weight,
                (Some(r), Some(s)) if r.order > s.order => &mut square,
                (None, Some(_)) => &mut square,
                (Some(_), _) => &mut round,
            };
            if let Some(bracket) = bracket(*inner) {
                weight *= bracket.multiplier;
                *inner = bracket.parent;
            }
        }
    }
}
