// What the console says, in the browser's language; and figures for people.

const EN = {
  kind_double: 'call for two', kind_multi: 'group', kind_live: 'live', kind_webrtc: 'webrtc', kind_webexe: 'portal list', mixes: 'Mixes', noMixes: 'No mixes', output: 'Shown as', inputs: 'Pictures in it', place: 'Seen', placeOver: 'in place of the stream', placeOwn: 'as a stream of its own', endMix: 'End mix', sure_end_mix: 'End the mix of {id}?', askServices: 'Ask the services',
  rtc_sessions: 'Sessions', rtc_connected: 'Connected', rtc_unreached: 'Never reached', rtc_received: 'Datagrams received', rtc_sent: 'Datagrams sent', rtc_nacks: 'Asked for again', rtc_keyRequests: 'Key frames asked for', rtc_garbage: 'Garbage', rtc_strangers: 'From strangers', rtc_overrun: 'Overrun', rtc_unsent: 'Not sent', rtc_rtt: 'Round trip', rtc_loss: 'Lost',
  overview: 'Overview', recordings: 'Recordings', noRecordings: 'No recordings', waitsForKeyframe: 'waits for a keyframe', nothingRecorded: 'nothing recorded: no keyframe came', recordingOff: 'Recording is off; set enabled = true in [record] to allow it.', record: 'Record', stopRecording: 'Stop recording', play: 'Play', remove: 'Delete', file: 'File', started: 'Begun', duration: 'Length', running: 'recording', sure_delete_recording: 'Delete {id}?', rooms: 'Rooms', streams: 'Streams', logs: 'Logs', settings: 'Settings', online: 'Live', offline: 'Reconnecting…', frozen: 'Connecting…',
  viewers: 'Viewers', chat: 'Chat connections', bitsIn: 'Received', bitsOut: 'Sent', memory: 'Memory', cpu: 'Processor', noRooms: 'No rooms', noStreams: 'No streams',
  name: 'Name', codec: 'Video', audio: 'Audio', size: 'Size', fps: 'Pictures/s', bitrate: 'Bitrate', source: 'Source', age: 'Age', user: 'User', stream: 'Stream', since: 'Since', seen: 'Heard',
  close: 'Close room', kick: 'Put out', mute: 'Mute', unmute: 'Unmute', ban: 'Ban', unban: 'Lift ban', end: 'End stream', notice: 'Send a notice', webhook: 'Webhook', waiting: 'not accepted yet:', oldest: 'oldest', noticeAll: 'Notice to all rooms', cancel: 'Cancel', noticeText: 'Text', send: 'Send',
  sure_close_room: 'Close the room {id} for everybody?', sure_kick: 'Put {id} out of the room? Its stream ends; it may come back after a minute.', sure_ban: 'Ban {id} from this room for an hour?', sure_end_stream: 'End the stream {id}?', yes: 'Yes',
  done: 'Done', told: 'Told (rooms: {n})', follow: 'Follow', filter: 'Filter', search: 'Search files', noLines: 'No such lines', backLive: 'Back to live', paused: 'paused', audience: '{n} watching', watches: 'audience', inChat: '{n} in chat', creator: 'creator', muted: 'muted', banned: 'banned', fits: 'The settings fit.', keyTitle: 'Operator key', keyText: 'This server runs in production. Paste one of operator.keys.', key: 'Key', open: 'Open', lost: 'Dropped for slow viewers', hour: 'last hour', empty: '(empty)', actOn: 'User in this room',
};
const ZH = {
  kind_double: '双人', kind_multi: '多人', kind_live: '直播', kind_webrtc: 'webrtc', kind_webexe: '房间列表', mixes: '混流', noMixes: '没有混流', output: '输出', inputs: '输入路数', place: '呈现方式', placeOver: '替代该流', placeOwn: '独立的流', endMix: '结束混流', sure_end_mix: '结束混流 {id}？', askServices: '检查各服务',
  rtc_sessions: '会话', rtc_connected: '已连接', rtc_unreached: '从未连通', rtc_received: '收到的数据报', rtc_sent: '发出的数据报', rtc_nacks: '重传请求', rtc_keyRequests: '关键帧请求', rtc_garbage: '无效', rtc_strangers: '来自陌生地址', rtc_overrun: '溢出', rtc_unsent: '未发出', rtc_rtt: '往返时延', rtc_loss: '丢包',
  overview: '概览', recordings: '录制', noRecordings: '没有录制', waitsForKeyframe: '等待关键帧', nothingRecorded: '没有录到内容：一直没有关键帧', recordingOff: '录制未启用；在 [record] 中设置 enabled = true。', record: '录制', stopRecording: '停止录制', play: '播放', remove: '删除', file: '文件', started: '开始', duration: '时长', running: '录制中', sure_delete_recording: '删除 {id}？', rooms: '房间', streams: '流', logs: '日志', settings: '配置', online: '实时', offline: '正在重连…', frozen: '正在连接…',
  viewers: '观看人数', chat: '聊天连接', bitsIn: '接收', bitsOut: '发送', memory: '内存', cpu: '处理器', noRooms: '没有房间', noStreams: '没有流',
  name: '名称', codec: '视频', audio: '音频', size: '尺寸', fps: '帧率', bitrate: '码率', source: '来源', age: '时长', user: '用户', stream: '流', since: '进入', seen: '心跳',
  close: '关闭房间', kick: '移出', mute: '禁言', unmute: '解除禁言', ban: '封禁', unban: '解除封禁', end: '断流', notice: '发送公告', webhook: '回调', waiting: '尚未接受：', oldest: '最早', noticeAll: '向所有房间发公告', cancel: '取消', noticeText: '内容', send: '发送',
  sure_close_room: '为所有人关闭房间 {id}？', sure_kick: '将 {id} 移出房间？其推流会断开，一分钟后可再进入。', sure_ban: '禁止 {id} 进入此房间一小时？', sure_end_stream: '断开流 {id}？', yes: '确定',
  done: '完成', told: '已通知 {n} 个房间', follow: '跟随', filter: '过滤', search: '搜索文件', noLines: '没有匹配的行', backLive: '返回实时', paused: '暂停', audience: '{n} 人观看', watches: '观众', inChat: '{n} 人在聊天', creator: '创建者', muted: '禁言', banned: '封禁', fits: '检查正确', keyTitle: '运维密钥', keyText: '服务器处于生产模式。请粘贴 operator.keys 中的一个。', key: '密钥', open: '打开', lost: '为慢速观众丢弃', hour: '最近一小时', empty: '（空）', actOn: '房间内用户',
};
const TEXT = (navigator.languages ?? []).find((l) => /^(zh|en)/i.test(l))?.startsWith('zh') ? { ...EN, ...ZH } : EN;
document.documentElement.lang = TEXT === EN ? 'en' : 'zh-CN';

export const t = (key, values = {}) => (TEXT[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');

/** 1234567 → `1.23 M`; with a unit: `1.23 Mbit/s`. */
export function figure(n, unit = '') {
  const [size, letter] = n >= 1e9 ? [1e9, 'G'] : n >= 1e6 ? [1e6, 'M'] : n >= 1e3 && unit ? [1e3, 'k'] : [1, ''];
  const value = n / size;
  return `${size === 1 ? Math.round(value) : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)}${letter || unit ? ' ' : ''}${letter}${unit}`;
}

/** Milliseconds → `3 s`, `2 min`, `5 h`. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}
