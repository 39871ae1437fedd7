//! The autoencoder's decoder: latent to picture.

pub mod decoder;
pub mod tile_layout;
