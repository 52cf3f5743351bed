import Foundation

/// Chat of RoomService for a native app, in the place of its IMMsgManager (docs/clients/ios.md). Needs iOS 13.
final class RoomChat: NSObject, URLSessionWebSocketDelegate {
    typealias Frame = [String: Any]
    typealias Done = (Result<Frame, Error>) -> Void

    struct Refused: Error { let code: String, message: String }

    var onFrame: (String, Frame) -> Void = { _, _ in }   // message, direct, system, count, out
    var onEnded: (Int, String) -> Void = { _, _ in }     // no new attempt is made: log in again, or tell the user

    private let url: String
    private let queue = OperationQueue()
    private lazy var session = URLSession(configuration: .default, delegate: self, delegateQueue: queue)
    private var task: URLSessionWebSocketTask?
    private var waiting: [Int: Done] = [:]
    private var rooms: [String: (epoch: Int, seq: Int)] = [:]
    private var ids = 0, lastDirect = 0, pause = 0.5, name = "", closed = false

    /// server: wss://rooms.example.com; user and token: of the rooms' login.
    init(server: String, user: String, token: String) {
        url = "\(server)/ws?userID=\(user)&token=\(token)"
        super.init()
        queue.maxConcurrentOperationCount = 1
        queue.addOperation { self.connect() }
        beatLater()
    }

    func join(_ room: String, _ done: @escaping Done) { queue.addOperation { self.enter(room, [:], done) } }
    func nick(_ nick: String) { queue.addOperation { self.name = nick; self.ask("nick", ["nick": nick]) { _ in } } }
    /// As every client of the family writes it: who speaks in a custom element, and the text.
    func text(_ room: String, nickName: String, headPic: String, _ text: String, _ done: @escaping Done) {
        let who: Frame = ["cmd": "CustomTextMsg", "data": ["nickName": nickName, "headPic": headPic]]
        let head = (try? JSONSerialization.data(withJSONObject: who)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
        let body: [Frame] = [["MsgType": "TIMCustomElem", "MsgContent": ["Data": head]],
                             ["MsgType": "TIMTextElem", "MsgContent": ["Text": text]]]
        later("send", ["room": room, "body": body], done)
    }
    /// data: the JSON text that the old clients put into a custom message, such as {"cmd":"CustomCmdMsg","data":{…}}.
    func custom(_ room: String, _ data: String, _ done: @escaping Done) {
        later("send", ["room": room, "custom": ["data": data]], done)
    }
    /// Co-anchoring and PK: {"cmd":"linkmic","data":{…}}, {"cmd":"pk","data":{…}}.
    func direct(_ user: String, _ data: String, _ done: @escaping Done) {
        later("direct", ["to": user, "custom": ["data": data]], done)
    }
    func quit(_ room: String, _ done: @escaping Done) {
        queue.addOperation { self.rooms[room] = nil; self.ask("quit", ["room": room], done) }
    }
    func close() {
        queue.addOperation { self.closed = true; self.task?.cancel(with: .normalClosure, reason: nil) }
        session.finishTasksAndInvalidate()
    }

    private func later(_ type: String, _ fields: Frame, _ done: @escaping Done) {
        queue.addOperation { self.ask(type, fields, done) }
    }

    private func connect() {
        guard !closed, let address = URL(string: lastDirect == 0 ? url : "\(url)&since=\(lastDirect)") else { return }
        let task = session.webSocketTask(with: address)
        self.task = task
        task.resume()
        receive(task)
        if !name.isEmpty { ask("nick", ["nick": name]) { _ in } }
        for (room, at) in rooms {
            enter(room, ["since": ["epoch": at.epoch, "seq": at.seq]]) { if case .failure(let why as Refused) = $0 { self.missed(room, why) } }
        }
    }

    /// What ended while there was no connection is told as if it ended now.
    private func missed(_ room: String, _ why: Refused) {
        if why.code == "no_room" { got(["type": "system", "room": room, "notice": "destroyed"]) }
        if why.code == "banned" { got(["type": "out", "room": room, "reason": "banned"]) }
    }

    /// A path that died says nothing: who answers no ping is lost.
    private func beatLater() {
        DispatchQueue.global().asyncAfter(deadline: .now() + 25) { [weak self] in self?.queue.addOperation { self?.beat() } }
    }

    private func beat() {
        guard !closed else { return }
        beatLater()
        guard let at = task else { return }
        var answered = false
        ask("ping", [:]) { _ in answered = true }
        DispatchQueue.global().asyncAfter(deadline: .now() + 10) {
            self.queue.addOperation {
                guard !answered, at === self.task else { return }
                at.cancel()
                self.lost(at, Refused(code: "no_answer", message: "no answer to a ping"))
            }
        }
    }

    private func receive(_ task: URLSessionWebSocketTask) {
        task.receive { result in
            self.queue.addOperation {
                guard task === self.task else { return }
                switch result {
                case .success(.string(let text)):
                    if let frame = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? Frame { self.got(frame) }
                    self.receive(task)
                case .success: self.receive(task)
                case .failure(let why): self.lost(task, why)
                }
            }
        }
    }

    private func lost(_ task: URLSessionWebSocketTask, _ why: Error) {
        self.task = nil
        waiting.values.forEach { $0(.failure(why)) }
        waiting = [:]
        // A refused upgrade is an HTTP status: 403 log in again, 421 the chat is at Tencent's. 429 and 503 pass.
        let status = (task.response as? HTTPURLResponse)?.statusCode ?? 0
        let code = task.closeCode.rawValue
        if code >= 4500 || (400..<429).contains(status) {
            closed = true
            onEnded(max(code, status), task.closeReason.flatMap { String(data: $0, encoding: .utf8) } ?? "\(why)")
        } else if !closed {
            pause = min(pause * 2, 30)
            DispatchQueue.global().asyncAfter(deadline: .now() + pause) { self.queue.addOperation { self.connect() } }
        }
    }

    /// Ends with the ack, or with the error frame's code and message.
    private func ask(_ type: String, _ fields: Frame, _ done: @escaping Done) {
        ids += 1
        let id = ids, frame = fields.merging(["type": type, "id": id]) { $1 }
        guard let task = task, let data = try? JSONSerialization.data(withJSONObject: frame) else {
            return done(.failure(Refused(code: "no_connection", message: "try again")))
        }
        waiting[id] = done
        task.send(.string(String(decoding: data, as: UTF8.self))) { _ in }   // a failure shows in receive, too
    }

    private func enter(_ room: String, _ since: Frame, _ done: @escaping Done) {
        ask("join", since.merging(["room": room]) { $1 }) { result in
            if case .success(let ack) = result, let epoch = ack["epoch"] as? Int, let last = ack["last"] as? Int {
                let before = self.rooms[room]?.seq
                self.rooms[room] = (epoch, before == nil ? last : ack["anew"] as? Bool == true ? 0 : before!)
            }
            done(result)
        }
    }

    private func got(_ frame: Frame) {
        let type = frame["type"] as? String ?? "", room = frame["room"] as? String ?? ""
        switch type {
        case "welcome":
            pause = 0.5
            if lastDirect == 0 { lastDirect = frame["direct"] as? Int ?? 0 }
        case "ack", "error":
            guard let id = frame["id"] as? Int, let done = waiting.removeValue(forKey: id) else { return }
            let refused = Refused(code: frame["code"] as? String ?? "", message: frame["message"] as? String ?? "")
            done(type == "ack" ? .success(frame) : .failure(refused))
        default:
            if let seq = frame["seq"] as? Int {
                if type == "direct" { lastDirect = seq } else { rooms[room]?.seq = seq }
            }
            if type == "out" || ["destroyed", "revoked"].contains(frame["notice"] as? String ?? "") { rooms[room] = nil }
            onFrame(type, frame)
        }
    }
}
