/** Version of this program; set by the bundler. */
export const version = process.env.APPLIANCE_VERSION ?? '0.0.0-source';
