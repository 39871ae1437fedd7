//! The change of one weight matrix, computed a few rows at a time: a change as large as the weight
//! itself is never in memory.

use crate::ops::product;

/// A matrix as the product of two: `[rows, rank]·[rank, columns]`.
pub struct Factors {
    /// `[rows, rank]`
    pub up: Vec<f32>,
    /// `[rank, columns]`
    pub down: Vec<f32>,
    /// Length of a row of `up`.
    pub rank: usize,
}

impl Factors {
    /// `count` rows of the product, from row `first` on.
    fn rows(&self, first: usize, count: usize) -> Vec<f32> {
        let up = &self.up[first * self.rank..][..count * self.rank];
        product(up, &self.down, self.rank)
    }

    /// The whole product.
    pub fn product(&self) -> Vec<f32> {
        self.rows(0, self.up.len() / self.rank)
    }
}

/// The kind of a change.
pub enum Change {
    /// LoRA: the product of two factors.
    Product(Factors),
    /// LoHa: two such products, multiplied element by element.
    Hadamard([Factors; 2]),
    /// LoKr: the Kronecker product of two matrices.
    Kronecker(Kronecker),
    /// The change itself, `[rows, columns]`.
    Full(Vec<f32>),
}

/// The Kronecker product of two matrices. A convolution's taps belong to the second one.
pub struct Kronecker {
    /// `[a, b]`
    pub first: Vec<f32>,
    /// `b`
    pub first_columns: usize,
    /// `[c, d, taps]`
    pub second: Vec<f32>,
    /// `d · taps`
    pub second_columns: usize,
}

impl Kronecker {
    /// Row `row` of the product: `[b, d, taps]`.
    fn row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let outer = self.second.len() / self.second_columns;
        let first = &self.first[row / outer * self.first_columns..][..self.first_columns];
        let second = &self.second[row % outer * self.second_columns..][..self.second_columns];
        first
            .iter()
            .flat_map(move |a| second.iter().map(move |b| a * b))
    }
}

/// A change and its factor.
pub struct Delta {
    /// The change.
    pub change: Change,
    /// LoRA's weight times alpha over rank.
    pub scale: f32,
}

impl Delta {
    /// Adds the rows of the change from `first` on to `values`, rows of `columns` values.
    pub fn add_to(&self, values: &mut [f32], first: usize, columns: usize) {
        let (scale, count) = (self.scale, values.len() / columns);
        let mut add = |rows: &mut dyn Iterator<Item = f32>| {
            for (value, change) in values.iter_mut().zip(rows) {
                *value += scale * change;
            }
        };
        match &self.change {
            Change::Product(factors) => add(&mut factors.rows(first, count).into_iter()),
            Change::Hadamard([a, b]) => {
                let (a, b) = (a.rows(first, count), b.rows(first, count));
                add(&mut a.iter().zip(&b).map(|(a, b)| a * b));
            }
            Change::Kronecker(product) => {
                add(&mut (first..first + count).flat_map(|row| product.row(row)));
            }
            Change::Full(change) => add(&mut change[first * columns..].iter().copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Delta, Factors, Kronecker};

    fn added(change: Change, [first, rows, columns]: [usize; 3]) -> Vec<f32> {
        let mut values = vec![1.0; rows * columns];
        Delta { change, scale: 0.5 }.add_to(&mut values, first, columns);
        values
    }

    #[test]
    fn products_are_added_row_by_row() {
        let factors = |up: &[f32], down: &[f32]| Factors {
            up: up.to_vec(),
            down: down.to_vec(),
            rank: 2,
        };
        // [[1 2], [3 4], [5 6]] · [[1 0 2], [0 1 -1]]
        let one = || {
            factors(
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
                &[1.0, 0.0, 2.0, 0.0, 1.0, -1.0],
            )
        };
        let rows = added(Change::Product(one()), [1, 2, 3]);
        assert_eq!(rows, [2.5, 3.0, 2.0, 3.5, 4.0, 3.0]);
        let two = || {
            factors(
                &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
                &[2.0, 2.0, 2.0, 1.0, 1.0, 1.0],
            )
        };
        let rows = added(Change::Hadamard([one(), two()]), [1, 2, 3]);
        assert_eq!(rows, [2.5, 3.0, 2.0, 8.5, 10.0, 7.0]);
    }

    #[test]
    fn kronecker_products_have_the_second_matrix_in_every_place_of_the_first() {
        let product = Kronecker {
            first: vec![1.0, 2.0, 3.0, 4.0],
            first_columns: 2,
            second: vec![1.0, 10.0, 100.0, 1000.0],
            second_columns: 2,
        };
        let rows = added(Change::Kronecker(product), [1, 2, 4]);
        let expected = [100.0, 1000.0, 200.0, 2000.0, 3.0, 30.0, 4.0, 40.0];
        assert_eq!(rows, expected.map(|x| 1.0 + 0.5 * x));
    }

    #[test]
    fn whole_changes_are_scaled() {
        let change = vec![2.0, 4.0, 6.0, 8.0];
        assert_eq!(added(Change::Full(change), [1, 1, 2]), [4.0, 5.0]);
    }
}
