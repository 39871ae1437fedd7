//! A text made of slices of a prompt, which knows where each of its letters was typed.

use std::ops::Range;

/// A text made of slices of another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spliced {
    text: String,
    /// The beginning of each slice, in this text and in the other. Both grow.
    pieces: Vec<(usize, usize)>,
}

impl Spliced {
    /// The whole of `source`.
    pub fn whole(source: &str) -> Self {
        let mut whole = Spliced::default();
        whole.push(source, 0..source.len());
        whole
    }

    /// Appends the bytes `slice` of `source`.
    pub(super) fn push(&mut self, source: &str, slice: Range<usize>) {
        let follows = self
            .pieces
            .last()
            .is_some_and(|&(at, from)| from + (self.text.len() - at) == slice.start);
        if !follows {
            // An empty slice is of use only as the first, to say where an empty text was.
            if slice.is_empty() && !self.pieces.is_empty() {
                return;
            }
            if self
                .pieces
                .last()
                .is_some_and(|&(at, _)| at == self.text.len())
            {
                self.pieces.pop();
            }
            self.pieces.push((self.text.len(), slice.start));
        }
        self.text.push_str(&source[slice]);
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The slices of the other text that the bytes `range` of this one come from, in order.
    pub fn sources_of(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        let first = self.pieces.partition_point(|&(at, _)| at <= range.start);
        let ends = self.pieces.iter().skip(1).map(|&(at, _)| at);
        let ends = ends.chain([self.text.len()]);
        let pieces = self.pieces.iter().zip(ends).skip(first.saturating_sub(1));
        pieces
            .map_while(move |(&(at, from), end)| {
                let (start, end) = (range.start.max(at), range.end.min(end));
                (at < range.end).then_some((start + from - at)..(end + from - at))
            })
            .filter(|slice| !slice.is_empty())
    }

    /// The byte of the other text that byte `offset` of this one comes from. The end of this text
    /// gives the end of its last slice.
    pub fn source_of(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let piece = self.pieces.partition_point(|&(at, _)| at <= offset);
        match piece.checked_sub(1) {
            Some(i) => self.pieces[i].1 + (offset - self.pieces[i].0),
            None => 0,
        }
    }

    /// The bytes of the other text from the first to the last byte of `range` of this one.
    pub fn source_of_range(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.source_of(range.start);
        match range.end.checked_sub(1).filter(|_| !range.is_empty()) {
            Some(last) => start..self.source_of(last) + 1,
            None => start..start,
        }
    }
}
