export { Client } from './client.js';
export { ApiError } from './http.js';
export { operatorToken, userSig } from './sign.js';
export { readWebhook, WebhookError } from './webhooks.js';
