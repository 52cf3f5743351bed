export * from './client.js';
export { ApiError, type Options } from './http.js';
export * from './sign.js';
export * from './webhooks.js';
