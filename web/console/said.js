// What the server's checks say, in the reader's language: the server sends each sentence in English with blanks, and what fills
// them (`crates/server/src/said.rs`). A test holds that each has its Chinese here.

import { language } from './text.js';

const ZH = {
  '{why}': '{why}',
  '{at}: {seen}': '{at}：{seen}',
  '{url}: {why}': '{url}：{why}',
  '{setting}: {why}': '{setting}：{why}',
  '{what}: {at}: {why}': '{what}：{at}：{why}',
  // /readyz
  'the server is about to end': '服务器即将退出',
  'the live service does not answer': '直播服务没有应答',
  'the disk of data_dir does not answer': 'data_dir 所在磁盘没有应答',
  'little room is left for data_dir': 'data_dir 所在磁盘空间不足',
  '{events} events or more are not accepted, the oldest for {seconds} s':
    '至少 {events} 个事件未被接受，最早的已等了 {seconds} 秒',
  '{unreached} of {clients} clients of the last 10 minutes could not reach {to}':
    '最近 10 分钟的 {clients} 个客户端中有 {unreached} 个连不上 {to}',
  "the journal's disk is full or fails": '日志文件所在磁盘已满或出错',
  "the journal's disk does not answer": '日志文件所在磁盘没有应答',
  'Redis is full (maxmemory)': 'Redis 已满（maxmemory）',
  'Redis is a replica and takes no changes': 'Redis 是副本，不接受修改',
  'Redis has too few replicas (min-replicas-to-write)': 'Redis 的副本太少（min-replicas-to-write）',
  'Redis cannot write its own disk': 'Redis 写不了自己的磁盘',
  'Redis does not answer, or does not let this server in': 'Redis 没有应答，或不让本服务器连接',
  'no answer in time': '没有及时应答',
  'changes cannot be written': '修改无法写入',
  // Addresses and ports
  'set webrtc.public to the address at which clients reach this machine, such as ["203.0.113.7"]':
    '把 webrtc.public 设为客户端访问本机的地址，例如 ["203.0.113.7"]',
  '{cure}, unless all clients are in that network': '{cure}；所有客户端都在该内网时不必',
  '{address} is of a private network: browsers on the internet do not reach it':
    '{address} 是内网地址：互联网上的浏览器访问不到',
  'browsers are told to send to {address}, which is their own machine':
    '浏览器被告知把媒体发到 {address}，那是它们自己的机器',
  '{what}: {at} cannot be listened at: {why}': '{what}：无法监听 {at}：{why}',
  'give {setting} an address of this machine; below 1024 a program needs AmbientCapabilities=CAP_NET_BIND_SERVICE':
    '把 {setting} 设为本机地址；1024 以下的端口需要 AmbientCapabilities=CAP_NET_BIND_SERVICE',
  "let the name's DNS record lead to this machine, or change live.pushHost and live.playHost":
    '把该域名解析到本机，或修改 live.pushHost 和 live.playHost',
  '{what}: something else answers at {at}: what is sent there does not come here':
    '{what}：{at} 上应答的是别的程序，发到那里的到不了这里',
  'let the router, the cloud or the proxy at that address lead TCP {port} to this machine, or change the address':
    '让该地址的路由器、云平台或代理把 TCP {port} 转到本机，或修改地址',
  "{what}: {at} does not answer, and it is this machine's": '{what}：{at} 没有应答，而它是本机地址',
  "open TCP {port} in this machine's firewall (nft list ruleset), or listen there: {setting} is {listen}":
    '在本机防火墙放行 TCP {port}（nft list ruleset），或在那里监听：{setting} 现为 {listen}',
  '{what}: {at} does not answer from here': '{what}：从本机访问 {at} 没有应答',
  'let the router or the cloud lead TCP {port} to this machine. Some lead nothing back that comes from inside: then try from elsewhere, nc -vz {at}':
    '让路由器或云平台把 TCP {port} 转到本机。有些不会把内部发出的再转回来：请从别处试，nc -vz {at}',
  'give webrtc.listen an address of this machine, and webrtc.public one that it reaches':
    '把 webrtc.listen 设为本机地址，把 webrtc.public 设为本机能访问的地址',
  "webrtc: what is sent to {to} does not come, and it is this machine's": 'webrtc：发到 {to} 的收不到，而它是本机地址',
  "open UDP {port} in this machine's firewall (nft list ruleset), or let webrtc.listen be 0.0.0.0:{port}":
    '在本机防火墙放行 UDP {port}（nft list ruleset），或把 webrtc.listen 设为 0.0.0.0:{port}',
  'webrtc: what is sent to {to} does not come back': 'webrtc：发到 {to} 的没有回来',
  'let the router or the cloud lead UDP {port} to this machine. Some lead nothing back that comes from inside: then try a call from elsewhere':
    '让路由器或云平台把 UDP {port} 转到本机。有些不会把内部发出的再转回来：请从别处试一次通话',
  // The certificate
  'not looked at: {at} does not answer from here ({why})': '没有检查：从本机访问 {at} 没有应答（{why}）',
  'try from elsewhere: openssl s_client -connect {host}:{port} -servername {host}':
    '请从别处试：openssl s_client -connect {host}:{port} -servername {host}',
  '{at} answers, and not by TLS: {why}': '{at} 有应答，但不是 TLS：{why}',
  'let what is in front do TLS at that port (deploy/nginx.conf does), or change the address':
    '让前面的代理在该端口做 TLS（参见 deploy/nginx.conf），或修改地址',
  'renew it where TLS is done (certbot renew), and let that read it again (systemctl reload nginx)':
    '在做 TLS 的地方续期（certbot renew），并让它重新读取（systemctl reload nginx）',
  'it cannot be read': '无法读取',
  'clients refuse it: {wrong}': '客户端不接受：{wrong}',
  'order one for this name at an authority': '向证书机构申请该域名的证书',
  '{seen}; no authority that browsers know has signed it': '{seen}；签发者不是浏览器认识的机构',
  "send the whole chain (fullchain.pem, not cert.pem), or order one at an authority, such as Let's Encrypt; all is well where every client was told of yours":
    "发送完整证书链（fullchain.pem，不是 cert.pem），或向证书机构（如 Let's Encrypt）申请；所有客户端都已信任你自己的机构时没有问题",
  'it renews itself: the log says why it does not': '会自动续期；没有续期的原因在日志里',
  'none is there yet for {names}': '还没有 {names} 的证书',
  'start the server; the names must lead to it, and port 443 or 80 (tls.redirect_listen) must be open to the authority':
    '启动服务器；域名要解析到它，并对证书机构放行 443 或 80 端口（tls.redirect_listen）',
  'remove that file: another certificate is ordered at the start': '删除该文件：启动时会重新申请证书',
  "let tls.certificate and tls.key be PEM files that belong together, readable by the server's user":
    'tls.certificate 和 tls.key 要是配对的 PEM 文件，运行服务器的用户能读',
  'its time and names cannot be read': '读不出有效期和域名',
  'make it anew': '重新制作',
  'renew it; new files are taken without a restart': '请续期；新文件无需重启即生效',
  'it ended {days} days ago': '已过期 {days} 天',
  'its time has not begun': '尚未生效',
  "set this machine's clock, or wait": '校准本机时钟，或等它生效',
  'it is for {names}, and not for {missing}': '它的域名是 {names}，不含 {missing}',
  'order one with all names, or change live.playHost and live.pushHost':
    '申请包含全部域名的证书，或修改 live.playHost 和 live.pushHost',
  'for {names} and {days} days': '域名 {names}，还有 {days} 天',
  // The machine
  'install it (apt-get install ffmpeg), or name one with libx264 in mix.ffmpeg':
    '安装它（apt-get install ffmpeg），或在 mix.ffmpeg 写一个带 libx264 的',
  'there is no {program}, so merge_stream is refused': '没有 {program}，所以 merge_stream 会被拒绝',
  '{program} does not run: {why}': '{program} 无法运行：{why}',
  '{version} lacks {lacks}: mixes fail': '{version} 缺少 {lacks}：混流会失败',
  "install a build with it (Debian's and Ubuntu's ffmpeg have all), or name one in mix.ffmpeg":
    '安装带有它的版本（Debian 和 Ubuntu 的 ffmpeg 都有），或在 mix.ffmpeg 写一个',
  '{version} is older than what mixes are tried with': '{version} 比混流测试过的版本旧',
  'install ffmpeg 4.2 or later': '安装 ffmpeg 4.2 或更新版本',
  '{version} cannot decode {lacks}: streams in that are black or silent in mixes':
    '{version} 不能解码 {lacks}：这种流在混流里是黑的或无声的',
  'install a build with these decoders, or name one in mix.ffmpeg': '安装带有这些解码器的版本，或在 mix.ffmpeg 写一个',
  'the disk of data_dir {directory} does not answer': 'data_dir {directory} 所在磁盘没有应答',
  'look at the disk, or at the server that it is mounted from (dmesg, mount); or set another data_dir':
    '检查该磁盘，或它挂载自的服务器（dmesg、mount）；或换一个 data_dir',
  'a relative data_dir is below where each program was started: set it in the file to where the server has its data, such as "/var/lib/roomservice", and ask as the user that runs the server':
    '相对的 data_dir 取决于程序从哪里启动：在文件里写上服务器存放数据的位置，例如 "/var/lib/roomservice"，并以运行服务器的用户再查',
  'give data_dir to the user that runs the server (chown), and ask as that user; or set another data_dir':
    '把 data_dir 交给运行服务器的用户（chown），并以该用户再查；或换一个 data_dir',
  'data_dir {directory} cannot be written: {why}': 'data_dir {directory} 无法写入：{why}',
  'make room, or set data_dir (and record.dir) to a larger disk; recordings give way by record.quota_bytes':
    '清理空间，或把 data_dir（和 record.dir）放到更大的磁盘；录制按 record.quota_bytes 让出空间',
  '{free} MB are free for data_dir {directory}': 'data_dir {directory} 只剩 {free} MB',
  'a write is on the disk after {middle} ms, {longest} ms at the most: every change of a room waits for that':
    '写到磁盘要 {middle} 毫秒，最长 {longest} 毫秒：房间的每次修改都要等它',
  'put data_dir on a local SSD; or set store.durability = "none", which loses the last moments before a crash':
    '把 data_dir 放到本地 SSD；或设 store.durability = "none"，崩溃时会丢失最后片刻',
  '{at} has room for {room} MB of recordings, and record.quota_bytes allows {quota} MB: the oldest go earlier':
    '{at} 只放得下 {room} MB 录制，而 record.quota_bytes 允许 {quota} MB：最旧的会提前删除',
  "set record.quota_bytes to less than that, make room, or set record.dir to another disk than data_dir's":
    '把 record.quota_bytes 设得更小、清理空间，或把 record.dir 放到与 data_dir 不同的磁盘',
  '{at} cannot be written, so every recording is lost: {why}': '{at} 无法写入，所有录制都会丢失：{why}',
  "the service's unit lets it write to its data alone: {edit}; or mount the disk for writing":
    '服务的 unit 只许它写自己的数据：{edit}；或以可写方式挂载磁盘',
  'give it to the user that runs the server (chown); and where a unit bounds what may be written: {edit}':
    '把它交给运行服务器的用户（chown）；unit 限制了可写目录时：{edit}',
  'LimitNOFILE=1048576 in the systemd unit, --ulimit nofile=1048576 for docker, or a lower http.max_connections':
    '在 systemd unit 里写 LimitNOFILE=1048576，docker 用 --ulimit nofile=1048576，或降低 http.max_connections',
  '{most} may be open, fewer than http.max_connections = {connections}':
    '可打开 {most} 个文件，少于 http.max_connections = {connections}',
  'chat.max_connections = {chat} leaves no connection of http.max_connections = {http} for calls':
    'chat.max_connections = {chat} 占满了 http.max_connections = {http}，调用没有连接可用（WebSocket 也算连接）',
  'a higher http.max_connections': '调高 http.max_connections',
  // Neighbours
  'start Redis, let this machine in (bind, ACL, firewall), and see that store.redis has its address and password':
    '启动 Redis，让本机能连接（bind、ACL、防火墙），并检查 store.redis 的地址和密码',
  'version {version} is older than what is tried': '版本 {version} 比测试过的旧',
  'use Redis 7 or Valkey': '使用 Redis 7 或 Valkey',
  'it is a {role} and takes no changes': '它是 {role}，不接受修改',
  'let store.redis lead to the master, or name the Sentinels: redis-sentinel://host:26379/master':
    '让 store.redis 指向主库，或写上 Sentinel：redis-sentinel://host:26379/master',
  'maxmemory-policy is {policy}: rooms are thrown away when it is full':
    'maxmemory-policy 是 {policy}：写满时房间会被丢弃',
  'maxmemory-policy is {policy}, and would throw rooms away once maxmemory is set':
    'maxmemory-policy 是 {policy}，一旦设了 maxmemory 就会丢弃房间',
  'CONFIG SET maxmemory-policy noeviction, and the same in redis.conf':
    'CONFIG SET maxmemory-policy noeviction，并写进 redis.conf',
  'it keeps nothing on its disk: a restart of Redis ends all rooms': '它不往磁盘保存：Redis 一重启，所有房间都会结束',
  'it has snapshots only: a crash of Redis loses the last minutes': '它只有快照：Redis 崩溃会丢失最后几分钟',
  'CONFIG SET appendonly yes, and the same in redis.conf': 'CONFIG SET appendonly yes，并写进 redis.conf',
  '{connected} replicas are connected, store.redis_replicas = {wanted}: changes are refused':
    '连着 {connected} 个副本，而 store.redis_replicas = {wanted}：修改会被拒绝',
  'start the replicas (REPLICAOF), or lower store.redis_replicas': '启动副本（REPLICAOF），或降低 store.redis_replicas',
  '{seconds} s behind that of {whose}': '比 {whose} 慢 {seconds} 秒',
  '{seconds} s ahead of that of {whose}': '比 {whose} 快 {seconds} 秒',
  'let both machines follow a time server: timedatectl set-ntp true (signatures, URLs and bans hold times)':
    '让两台机器都与时间服务器同步：timedatectl set-ntp true（签名、URL 和封禁都带时间）',
  '{url} answers {status}': '{url} 应答 {status}',
  "look into the backend's log; events wait until they are accepted": '查看业务后端的日志；事件会等到被接受为止',
  'start the backend, let this machine reach it, and see that its name and certificate are right (webhooks.ca for an authority of your own)':
    '启动业务后端，让本机能访问它，并检查域名和证书（自建证书机构用 webhooks.ca）',
  "compare the setting with Tencent's console": '与腾讯云控制台上的值核对',
  'mend the settings of [im] and [chat.tencent]': '改正 [im] 和 [chat.tencent] 的配置',
};

/** A sentence of the server. */
export function said({ text, with: blanks }) {
  const filled = new Map(blanks);
  const form = (language === 'zh' && ZH[text]) || text;
  return form.replace(/\{(\w+)\}/g, (blank, name) => {
    const value = filled.get(name);
    return value === undefined ? blank : typeof value === 'string' ? value : said(value);
  });
}

/** What the doctor looks at. */
const CHECKS = {
  settings: '配置',
  address: '对外地址',
  tcp: 'TCP 端口',
  udp: 'UDP 端口',
  certificate: '证书',
  ffmpeg: 'ffmpeg',
  clock: '时钟',
  disk: '磁盘',
  'record.dir': '录制目录',
  files: '打开文件数',
  redis: 'Redis',
  webhooks: '回调',
  tencent: '腾讯云',
};

/** What the doctor found not to be well, in one line. */
export function problemOf({ check, seen, cure }) {
  // Settings say themselves which they are.
  if (check === 'settings' && language !== 'zh') return said(seen);
  const parts = [said(seen), ...(cure ? [said(cure)] : [])];
  return language === 'zh' ? `${CHECKS[check] ?? check}：${parts.join('。')}` : `${check}: ${parts.join('; ')}`;
}
