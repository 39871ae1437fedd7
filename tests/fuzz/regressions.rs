//! Inputs that something once stumbled over, by what they are.
