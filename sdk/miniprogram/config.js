// Where this server and your backend are. Both stand in WeChat's list of request domains.

module.exports = {
  server: 'https://rooms.example.com',
  loginURL: 'https://app.example.com/login',
};
